import { assertSegment } from '../lib/arguments.ts'
import { withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import type { RequestOptions } from '../upstream/options.ts'
import { deleteSession as deleteAtServer, listSessions, type TerminalSession } from '../upstream/sessions.ts'
import { advise, exitStatusOf, printError } from './failure.ts'
import { millisecondsOf, TARGET_FLAGS, type Call, type Command } from './flags.ts'
import { CommandError, WRONG_USE, type Host } from './host.ts'
import { paintFor, startProgress } from './screen.ts'
import { readTarget } from './target.ts'

const help = { timeout: 'how long to wait for each answer; default: 30' }

export const LIST: Command = {
  name: 'list',
  summary: `Lists your sessions on the server: the id, the time of creation, and the process id of the shell.

A server runs 16 sessions at most, unless its settings say otherwise. When it refuses another, delete one with rm.
Open Terminal up to 0.11 lists the sessions of all users. Later releases list those of --user that have no chat; with
--chat, those of that chat.`,
  takesUrl: true,
  flags: [...TARGET_FLAGS, 'json'],
  help,
  run: list,
}

export const RM: Command = {
  name: 'rm',
  summary: `Deletes sessions and ends their shells: those that you name, or with --all every session that list shows.

Open Terminal up to 0.11 deletes the sessions of other users, too, and --all deletes them all.
The exit status is 0 if all were deleted, and 1 if one was not there or could not be deleted.`,
  takesUrl: true,
  takesIds: true,
  flags: ['all', ...TARGET_FLAGS],
  help,
  run: rm,
}

async function list(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const sessions = await findSessions(await prepareRequests(call, host, signal))
  if (call.flags.json !== undefined) host.stdout.write(`${jsonOf(sessions)}\n`)
  else if (sessions.length === 0) host.stderr.write(NO_SESSIONS)
  else host.stdout.write(tableOf(sessions, host))
  return 0
}

async function rm(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const all = call.flags.all !== undefined
  if (all && call.rest.length > 0) throw new CommandError('Give either ids or --all, not both.')
  if (!all && call.rest.length === 0) {
    throw new CommandError(
      'Name the sessions to delete: terminal-upstream rm URL ID, or terminal-upstream rm URL --all for all of them.',
      'ERR_PARSE_ARGS_MISSING_POSITIONAL',
    )
  }
  for (const id of call.rest) assertSegment('ID', id)
  const send = await prepareRequests(call, host, signal)
  const ids = all ? (await findSessions(send)).map(({ id }) => id) : [...new Set(call.rest)]
  if (ids.length === 0) host.stderr.write(NO_SESSIONS)
  let status = 0
  // One after the other: a server ends one shell at a time, and --timeout applies to each.
  for (const id of ids) {
    if (!(await deleteSession(id, send, host))) status = 1
  }
  return status
}

/** Sends one request to the server of the command; `action` completes "Cannot …" in the error of a timeout. */
type Send = <T>(action: string, request: (options: RequestOptions) => Promise<T>) => Promise<T>

const DEFAULT_TIMEOUT_MS = 30_000

/** Reads the server from the flags. Resolves with a function that sends requests to it. */
async function prepareRequests(call: Call, host: Host, signal: AbortSignal): Promise<Send> {
  const timeout = millisecondsOf(call, 'timeout', 0.001) ?? DEFAULT_TIMEOUT_MS
  const target = await readTarget(call, host, signal)
  return async (action, request) => {
    const expired = (): TerminalError => {
      const why = `no answer in ${timeout / 1_000} s. Try again later, or with a longer --timeout.`
      return new TerminalError('ERR_TERMINAL_TIMEOUT', `Cannot ${action}: ${why}`)
    }
    const stopProgress = startProgress(host, 'Waiting for the server')
    try {
      return await withDeadline(timeout, signal, (limit) => request({ ...target, signal: limit }), expired)
    } catch (error) {
      throw advise(error, call, target)
    } finally {
      stopProgress()
    }
  }
}

const NO_SESSIONS = 'No sessions.\n'

/** Gets all sessions of the user. */
function findSessions(send: Send): Promise<TerminalSession[]> {
  return send('list the sessions', listSessions)
}

/** Deletes a session, on the word of the user, and prints the result. Resolves with whether it was deleted. */
async function deleteSession(id: string, send: Send, host: Host): Promise<boolean> {
  // Hides the characters of a key that no id has: a user may have put a key in the place of an id.
  const shown = id.replaceAll(/[^\w.-]/g, '?')
  try {
    const request = `delete the session ${shown}`
    const wasThere = await send(request, (options) => deleteAtServer({ ...options, sessionId: id }))
    host.stdout.write(`${wasThere ? 'deleted' : 'not there:'} ${shown}\n`)
    return wasThere
  } catch (error) {
    // Wrong arguments would fail for every session in the same way.
    if (!(error instanceof TerminalError) || exitStatusOf(error) === WRONG_USE) throw error
    printError(host, error)
    return false
  }
}

/** Returns JSON in which the control characters are escaped that JSON allows as they are: some control a terminal. */
function jsonOf(sessions: readonly TerminalSession[]): string {
  const json = JSON.stringify(sessions, undefined, 2)
  return json.replaceAll(/[\x7f-\x9f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
}

/** Returns the table, with a header only for a terminal: programs read lines of sessions only. */
function tableOf(sessions: readonly TerminalSession[], host: Host): string {
  const { stdout } = host
  const { bold } = paintFor(stdout, host)
  const rows = sessions.map(({ id, createdAt, pid }) => ({
    id: printable(id),
    created: printable(createdAt) || '-',
    pid: String(pid || '-'),
  }))
  if (stdout.isTTY) rows.unshift({ id: 'ID', created: 'CREATED', pid: 'PID' })
  const idWidth = Math.max(...rows.map(({ id }) => id.length))
  const createdWidth = Math.max(...rows.map(({ created }) => created.length))
  return rows
    .map(({ id, created, pid }) => `${id.padEnd(idWidth)}  ${created.padEnd(createdWidth)}  ${pid}`)
    .map((line, index) => `${stdout.isTTY && index === 0 ? bold(line) : line}\n`)
    .join('')
}

/** Replaces the characters that could control a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?')
}
