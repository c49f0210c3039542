// What the types refuse. Each line is a mistake that someone makes; the comment before it says which.
import { runCommand, startCommand, type CommandOptions, type RunningCommand } from '../../../src/command.ts'
import type { GatewaySession, TerminalGateway, TerminalGatewayOptions } from '../../../src/gateway.ts'
import {
  buildUpstreamAuth,
  buildUpstreamWsUrl,
  connectTerminal,
  getTerminalSession,
  type ConnectTerminalOptions,
  type TerminalConnection,
  type TerminalError,
} from '../../../src/index.ts'
import type { ProbeOptions, ProbeReport } from '../../../src/probe.ts'
import { proxyTerminal, type ClientSocket, type ProxyOptions } from '../../../src/proxy.ts'
import type { TestUpstreamOptions } from '../../../src/testing.ts'
import { UpstreamAddon } from '../../../src/xterm.ts'

const upstream = { base: 'http://h', userId: 'ada' }
const authorize = (): typeof upstream => upstream

export const connecting: ConnectTerminalOptions[] = [
  // @ts-expect-error -- `userId` is required
  { base: 'http://h' },
  // @ts-expect-error -- no such auth type
  { ...upstream, authType: 'basic' },
  // @ts-expect-error -- misspelt
  { ...upstream, sessionID: '1' },
  // @ts-expect-error -- one of three words
  { ...upstream, tokenInUrl: true },
  // @ts-expect-error -- `rows` is required
  { ...upstream, size: { cols: 80 } },
  // @ts-expect-error -- retries are on by default
  { ...upstream, retry: true },
  // @ts-expect-error -- a number
  { ...upstream, retry: { attempts: '3' } },
  // @ts-expect-error -- resuming is on by default
  { ...upstream, reconnect: true },
  // @ts-expect-error -- a boolean
  { ...upstream, sessionId: '1', createIfGone: 'yes' },
  // @ts-expect-error -- a controller, not its signal
  { ...upstream, signal: new AbortController() },
]

export const running: CommandOptions[] = [
  // @ts-expect-error -- `command` is required
  upstream,
  // @ts-expect-error -- for a shell, so not a list of arguments
  { ...upstream, command: ['npm', 'test'] },
  // @ts-expect-error -- a list is not a string
  { ...upstream, command: 'npm', args: ['test'] },
  // @ts-expect-error -- variables are strings
  { ...upstream, command: 'npm test', env: { CI: true } },
  // @ts-expect-error -- variables are strings
  { ...upstream, command: 'npm test', env: { HOME: process.env['HOME'] } },
  // @ts-expect-error -- all of it at once, and not a stream
  { ...upstream, command: 'cat', stdin: process.stdin },
  // @ts-expect-error -- 'utf8' or 'buffer'
  { ...upstream, command: 'cat', encoding: 'base64' },
  // @ts-expect-error -- of a terminal
  { ...upstream, command: 'cat', size: { cols: 80, rows: 24 } },
  // @ts-expect-error -- of a terminal
  { ...upstream, command: 'cat', retry: false },
  // @ts-expect-error -- a controller, not its signal
  { ...upstream, command: 'cat', signal: new AbortController() },
  // @ts-expect-error -- gets bytes
  { ...upstream, command: 'cat', onStdout: (chunk: string) => void chunk },
]

export const serving: TerminalGatewayOptions[] = [
  // @ts-expect-error -- `authorize` is required
  { path: '/terminal' },
  // @ts-expect-error -- `base` and `userId` are required
  { authorize: () => ({ key: 'sk-1' }) },
  // @ts-expect-error -- a list, 'same' or 'any'
  { authorize, origins: 'https://chat.example' },
  // @ts-expect-error -- of one terminal, not of all
  { authorize, sessionId: '1' },
  // @ts-expect-error -- `maxSessionsPerUser`
  { authorize, sessionsPerUser: 8 },
  // @ts-expect-error -- `maxUnauthenticated`
  { authorize, unauthenticated: 1_000 },
  // @ts-expect-error -- `replayBytes`
  { authorize, replay: 65_536 },
]

export const proxying: ProxyOptions[] = [
  // @ts-expect-error -- neither an upstream nor `authorize`
  { authTimeout: 1_000 },
  // @ts-expect-error -- `base` and `userId` are required
  { authorize: () => ({ key: 'sk-1' }) },
  // @ts-expect-error -- either the upstream, or how to find it
  { ...upstream, authorize },
  // @ts-expect-error -- of an upstream, which `authorize` finds
  { authorize, sessionId: '1' },
  // @ts-expect-error -- without `authorize`, there is nothing to wait for
  { ...upstream, authTimeout: 1_000 },
]

export const probing: ProbeOptions[] = [
  // @ts-expect-error -- `userId` is required
  { base: 'http://h' },
  // @ts-expect-error -- a probe always tries both
  { ...upstream, tokenInUrl: 'fallback' },
]

export const starting: TestUpstreamOptions[] = [
  // @ts-expect-error -- no such release
  { release: 'terminals@0.0.1' },
  // @ts-expect-error -- no such shell
  { shell: 'bash' },
]

export function use(terminal: TerminalConnection, client: ClientSocket, gateway: TerminalGateway): void {
  // @ts-expect-error -- no such auth type
  buildUpstreamWsUrl('http://h', 'basic', 'sk-1', 'ada')
  // @ts-expect-error -- `userId` is required
  buildUpstreamWsUrl('http://h', 'bearer', 'sk-1')
  // @ts-expect-error -- ids are strings
  buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada', { sessionId: 1 })
  // @ts-expect-error -- `authType` is required here
  buildUpstreamAuth({ userId: 'ada' })
  // @ts-expect-error -- `sessionId` is required
  void getTerminalSession(upstream)
  // @ts-expect-error -- neither text nor bytes
  void terminal.write(1)
  // @ts-expect-error -- two numbers
  terminal.resize({ cols: 80, rows: 24 })
  // @ts-expect-error -- the options are required
  void proxyTerminal(client)
  // @ts-expect-error -- `timeout`
  void gateway.close({ drain: 1_000 })
  // @ts-expect-error -- a promise of a terminal
  void new UpstreamAddon(connectTerminal(upstream))
  // @ts-expect-error -- the note is there by default
  void new UpstreamAddon(terminal, { notes: true })
  // @ts-expect-error -- the text has a name
  void new UpstreamAddon(terminal, { notes: 'Verbindung …' })
}

export async function run(command: RunningCommand): Promise<void> {
  // @ts-expect-error -- one argument
  await runCommand('npm test', upstream)
  const { stdout } = await runCommand({ ...upstream, command: 'cat', encoding: 'buffer' })
  // @ts-expect-error -- bytes
  stdout.trim()
  const text = await runCommand({ ...upstream, command: 'cat' })
  // @ts-expect-error -- text
  void text.stdout.byteLength
  // @ts-expect-error -- a number
  void (text.exitCode === '0')
  const other = await startCommand({ ...upstream, command: 'cat', encoding: 'buffer' })
  // @ts-expect-error -- bytes
  const result: Awaited<RunningCommand['result']> = await other.result
  // @ts-expect-error -- only of the result
  void command.exitCode
  // @ts-expect-error -- SIGTERM, and then SIGKILL
  await command.kill('SIGINT')
  // @ts-expect-error -- all of the input is an option
  void command.stdin
  void result
}

export function read(terminal: TerminalConnection, error: TerminalError, session: GatewaySession): void {
  // @ts-expect-error -- no such code
  void (error.code === 'ERR_TERMINAL_GONE')
  // @ts-expect-error -- not a word of a status, but of a close
  void (terminal.status === 'exited')
  // @ts-expect-error -- what is resumed, and where, is the terminal's own business
  void terminal.offset
  // @ts-expect-error -- a gateway tells nobody where the upstream is
  void session.base
}

export function change(terminal: TerminalConnection, error: TerminalError, report: ProbeReport): void {
  // @ts-expect-error -- read-only
  terminal.sessionId = ''
  // @ts-expect-error -- read-only
  error.code = 'ERR_TERMINAL_CLOSED'
  // @ts-expect-error -- read-only
  report.ok = true
}
