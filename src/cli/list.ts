import { listTerminalSessions, type TerminalSession } from '../upstream/sessions.ts'
import type { Call, Syntax } from './flags.ts'
import type { Host } from './host.ts'
import { prepareRequests, TIMEOUT_HELP, type Send } from './request.ts'
import { paintFor } from './screen.ts'
import { TARGET_FLAGS } from './target.ts'

export const LIST: Syntax = {
  name: 'list',
  summary: `Lists your sessions on the server: the id, the time of creation, and the process id of the shell.

A server runs 16 sessions at most, unless its settings say otherwise. When it refuses another, delete one with rm.
Open Terminal up to 0.11 lists the sessions of all users. Later releases list those of --user that have no chat; with
--chat, those of that chat.`,
  takesUrl: true,
  flags: [...TARGET_FLAGS, 'json'],
  help: { timeout: TIMEOUT_HELP },
}

/** Resolves with the exit status. */
export async function list(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const sessions = await findSessions(await prepareRequests(call, host, signal))
  if (call.flags.json !== undefined) host.stdout.write(`${jsonOf(sessions)}\n`)
  else if (sessions.length === 0) printNoSessions(host)
  else host.stdout.write(tableOf(sessions, host))
  return 0
}

/** Returns JSON in which also the control characters are escaped that JSON allows as they are: some control a terminal. */
function jsonOf(sessions: readonly TerminalSession[]): string {
  const json = JSON.stringify(sessions, undefined, 2)
  return json.replaceAll(/[\x7f-\x9f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
}

/** Gets all sessions of the user. */
export function findSessions(send: Send): Promise<TerminalSession[]> {
  return send('list the sessions', listTerminalSessions)
}

/** Says that there is nothing to print. */
export function printNoSessions({ stderr }: Host): void {
  stderr.write('No sessions.\n')
}

/** Returns the table, with a header only for a terminal: programs read lines of sessions only. */
function tableOf(sessions: readonly TerminalSession[], host: Host): string {
  const { stdout } = host
  const { bold } = paintFor(stdout, host)
  const header = { id: 'ID', created: 'CREATED', pid: 'PID', paint: bold }
  const rows = [...(stdout.isTTY ? [header] : []), ...sessions.map(rowOf)]
  const idWidth = Math.max(...rows.map(({ id }) => id.length))
  const createdWidth = Math.max(...rows.map(({ created }) => created.length))
  return rows
    .map(({ id, created, pid, paint }) => paint(`${id.padEnd(idWidth)}  ${created.padEnd(createdWidth)}  ${pid}`))
    .map((line) => `${line}\n`)
    .join('')
}

function rowOf({ id, createdAt, pid }: TerminalSession) {
  return { id: printable(id), created: printable(createdAt) || '-', pid: String(pid || '-'), paint: String }
}

/** Replaces the characters that could control a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?')
}
