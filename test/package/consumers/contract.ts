import {
  runCommand,
  startCommand,
  type CommandOptions,
  type CommandOutput,
  type CommandResult,
  type RunningCommand,
} from '../../../src/command.ts'
import {
  buildUpstreamAuth,
  buildUpstreamWsUrl,
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  TerminalError,
  type AuthType,
  type ConnectTerminalOptions,
  type ReconnectOptions,
  type RetryOptions,
  type SocketConstructor,
  type SocketLike,
  type TerminalClose,
  type TerminalConnection,
  type TerminalErrorCode,
  type TerminalErrorOptions,
  type TerminalSession,
  type TerminalSessionOptions,
  type TerminalSize,
  type TerminalStatus,
  type UpstreamAuth,
  type UpstreamAuthOptions,
  type UpstreamOptions,
  type UpstreamTarget,
} from '../../../src/index.ts'

// A program for any runtime. No consumer runs: the test is that it compiles.

const authType: AuthType = 'system_oauth'
const size: TerminalSize = { cols: 80, rows: 24 }
const target: UpstreamTarget = { sessionId: '8f14e45f' }
const authOptions: UpstreamAuthOptions = { authType, userId: 'ada' }
const upstream: UpstreamOptions = {
  base: new URL('https://terminals.example'),
  authType,
  userId: 'ada',
  headers: { 'CF-Access-Client-Id': 'id' },
  signal: new AbortController().signal,
}

export const url: string = buildUpstreamWsUrl(upstream.base, authType, 'sk-1', 'ada', target)
export const auth: UpstreamAuth = buildUpstreamAuth(authOptions)
export const keys: Array<UpstreamOptions['key']> = ['sk-1', null, () => null, () => 'sk-1', async () => undefined]

export async function useSessions(): Promise<TerminalSession[]> {
  const session: TerminalSession = await createTerminalSession(upstream)
  const options: TerminalSessionOptions = { ...upstream, sessionId: session.id }
  const found: TerminalSession | undefined = await getTerminalSession(options)
  const isDeleted: boolean = await deleteTerminalSession(options)
  return isDeleted || !found ? listTerminalSessions(upstream) : [found]
}

export async function useTerminal(Socket: SocketConstructor): Promise<TerminalErrorCode | undefined> {
  const socket: SocketLike = new Socket(url)
  socket.close(1000)
  const retry: RetryOptions = { attempts: 1 }
  const reconnect: ReconnectOptions = { timeout: 0 }
  const kept = { sessionId: null, createIfGone: true }
  const options: ConnectTerminalOptions = { ...upstream, ...kept, size, retry, reconnect, WebSocket: Socket }
  await using terminal: TerminalConnection = await connectTerminal(options)
  const stop: () => void = terminal.onData((chunk) => chunk.byteLength)
  terminal.onStatus((status: TerminalStatus) => status === 'reconnecting')
  terminal.resize(80, 24)
  await terminal.write('text')
  await terminal.write(new Uint8Array(1))
  for await (const chunk of terminal) if (chunk.length > 0) break
  stop()
  const { code, reason, cause, error }: TerminalClose = await terminal.detach()
  const details: TerminalErrorOptions = { closeCode: code, closeReason: reason, why: cause, cause: error }
  const thrown: unknown = new TerminalError('ERR_TERMINAL_CLOSED', 'it is closed', details)
  return thrown instanceof TerminalError ? thrown.code : undefined
}

type Stream = CommandOutput['stream']

export async function useCommands(encoding: CommandOptions['encoding']): Promise<Record<Stream, string | Uint8Array>> {
  const options = { ...upstream, command: 'npm test', env: { CI: '1' }, timeout: 1_000 } satisfies CommandOptions
  const text: CommandResult = await runCommand(options)
  const same: string = (await runCommand({ ...options, encoding: 'utf8', stdin: text.stdout })).stdout
  const bytes: CommandResult<Uint8Array> = await runCommand({
    ...options,
    encoding: 'buffer',
    stdin: new Uint8Array(1),
  })
  const either: CommandResult<string | Uint8Array> = await runCommand({ ...options, encoding })
  await using command: RunningCommand = await startCommand({ ...options, onStdout: (chunk) => chunk.byteLength })
  for await (const { stream, data } of command) if (stream === 'stderr' && data.length > 0) break
  const other: RunningCommand<Uint8Array> = await startCommand({ ...options, encoding: 'buffer' })
  await other.kill()
  const { exitCode, signal }: CommandResult<Uint8Array> = await other.result
  const isEnded: boolean = text.timedOut || text.truncated || signal === 'SIGTERM' || exitCode === 0
  return isEnded ? { stdout: bytes.stdout, stderr: either.stderr } : { stdout: same, stderr: command.id }
}
