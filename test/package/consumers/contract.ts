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
