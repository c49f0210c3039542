import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { constants, homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { createCommandInput } from './command-input.ts'
import { CommandLog } from './command-log.ts'
import { groupOf } from './groups.ts'
import type { Behaviour } from './releases.ts'
import type { TestOwner } from './session.ts'

/** What a request wants to run. */
export interface CommandRequest {
  readonly command: string
  readonly cwd?: string | null
  readonly env?: Readonly<Record<string, string>> | null
}

/** A command as the server sees it. */
export interface ServerCommand extends TestOwner {
  readonly id: string
  readonly command: string
  readonly cwd: string
  readonly logPath: string
  readonly log: CommandLog
  readonly status: 'running' | 'done' | 'killed'
  readonly exitCode: number | null
  /** Whether requests find the command no more: a DELETE has ended it, its time is up, or its container is gone. */
  readonly deleted: boolean
  /** Aborts when the shell has ended and every process has closed the output. */
  readonly ended: AbortSignal
  /** Resolves then. */
  readonly done: Promise<void>
  /** Types into the command. Resolves with whether the program has room for the input. */
  input(text: string): Promise<boolean>
  /** Does what a DELETE does. Resolves with whether the server then still knew the command. */
  terminate(force: boolean): Promise<boolean>
  /** Ends all of its processes, as the upstream or the container of an orchestrator ends. */
  kill(): void
  tearDown(): void
}

/** How long the server keeps what it knows of a command after its end (PROTOCOL 9.4). */
const KEPT_MS = 300_000

/** Returns the folder that relative paths start from: 0.8.1 has its own, later releases that of their user. */
export function baseFolder({ groupCommands }: Behaviour): string {
  return groupCommands ? homedir() : process.cwd()
}

/**
 * Runs a command as the release does, but without a PTY: a program sees that it has no terminal. Rejects if the system
 * does not start it; nothing has run then.
 */
export async function startCommand(
  behaviour: Behaviour,
  owner: TestOwner,
  { command, cwd: wantedCwd, env }: CommandRequest,
): Promise<ServerCommand> {
  const { groupCommands, strictSessions, asyncCommands } = behaviour
  const cwd = resolve(baseFolder(behaviour), wantedCwd ?? '')
  // Node passes these on, and Python does not.
  const isIllegal = Object.keys(env ?? {}).some((name) => name.includes('='))
  const hasSurrogate = /\p{Cs}/u.test([command, wantedCwd, ...Object.entries(env ?? {}).flat()].join('\0'))
  if (isIllegal || hasSurrogate || (wantedCwd === '' && !groupCommands)) throw new Error('cannot be started')
  // The outer shell gives the inner one a single stream for its output and its errors, and makes room for it.
  const child = spawn('/bin/sh', ['-c', 'exec /bin/sh -c "$0" 2>&1', command], {
    cwd,
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, ...env },
  })
  const group = groupOf(child)

  const id = groupCommands ? dateId() : randomUUID().replaceAll('-', '').slice(0, 12)
  const log = new CommandLog(behaviour)
  let status: ServerCommand['status'] = 'running'
  let exitCode: number | null = null
  let deleted = false
  let finishedAt = Infinity
  let killed = false
  const ended = new AbortController()
  const done = new Promise<void>((end) => ended.signal.addEventListener('abort', () => end()))
  const exited = new Promise<void>((end) => child.once('exit', () => end()))

  child.stdout.on('data', (chunk: Uint8Array) => {
    // Up to 0.14.1, the last words of a command that a DELETE ends are lost (PROTOCOL 9.12).
    if (!killed || asyncCommands) log.print(chunk)
  })
  child.once('close', (code, signal) => {
    // A process in the background that has closed the output goes on, until the upstream ends.
    if (!group.isAlive()) group.release()
    exitCode = code ?? -constants.signals[signal ?? 'SIGKILL']
    if (status === 'running') status = 'done'
    finishedAt = Date.now()
    ended.abort()
  })
  const input = createCommandInput(child.stdin, (text) => log.print(Buffer.from(text)))

  function kill(): void {
    group.signal('SIGKILL')
    group.release()
    // A process in a session of its own can keep the pipe open.
    child.stdout.destroy()
  }

  // Rejects with the `error` event.
  await once(child, 'spawn')
  return {
    ...owner,
    id,
    command,
    cwd,
    logPath: join(homedir(), '.local/state/open-terminal/logs/processes', `${id}.jsonl`),
    log,
    get status() {
      return status
    },
    get exitCode() {
      return exitCode
    },
    get deleted() {
      return deleted || Date.now() - finishedAt > KEPT_MS
    },
    ended: ended.signal,
    done,
    input,
    async terminate(force) {
      if (status === 'running') {
        killed = true
        if (strictSessions) status = 'killed'
        const name = force ? 'SIGKILL' : 'SIGTERM'
        if (groupCommands) group.signal(name)
        else child.kill(name)
        // From 0.14.2 on the server waits for the last output, too.
        await (asyncCommands ? done : exited)
        if (!asyncCommands) child.stdout.destroy()
      } else finishedAt = Date.now()
      const wasKnown = !deleted
      deleted ||= !strictSessions
      return wasKnown
    },
    kill,
    tearDown() {
      deleted = true
      kill()
    },
  }
}

/** Returns an id as the servers have it since 0.11: `20261129-154712-3f9a0c`. */
function dateId(): string {
  const [date = '', time = ''] = new Date()
    .toISOString()
    .replaceAll(/[-:]|\..*/g, '')
    .split('T')
  return `${date}-${time}-${randomUUID().slice(0, 6)}`
}
