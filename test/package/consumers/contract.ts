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
  type UpstreamAuth,
  type UpstreamAuthOptions,
  type UpstreamOptions,
  type UpstreamTarget,
} from '../../../src/index.ts'

// This file does not run. The test is that it compiles.

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- only a comparison of generic functions is exact
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type Holds<T extends true> = T
type RequiredKeys<T> = { [Name in keyof T]-?: object extends Pick<T, Name> ? never : Name }[keyof T]
type Key = string | null | undefined

export type Signatures = [
  Holds<Same<AuthType, 'bearer' | 'session' | 'system_oauth' | 'none'>>,
  Holds<
    Same<
      typeof buildUpstreamWsUrl,
      (base: string | URL, authType: AuthType, key: Key, userId: string, target?: UpstreamTarget) => string
    >
  >,
  Holds<Same<typeof buildUpstreamAuth, (options: UpstreamAuthOptions) => UpstreamAuth>>,
  Holds<Same<UpstreamAuth, { headers: Record<string, string>; message: string }>>,
  Holds<Same<typeof createTerminalSession, (options: UpstreamOptions) => Promise<TerminalSession>>>,
  Holds<Same<typeof listTerminalSessions, (options: UpstreamOptions) => Promise<TerminalSession[]>>>,
  Holds<Same<typeof getTerminalSession, (options: TerminalSessionOptions) => Promise<TerminalSession | undefined>>>,
  Holds<Same<typeof deleteTerminalSession, (options: TerminalSessionOptions) => Promise<boolean>>>,
  Holds<Same<typeof connectTerminal, (options: ConnectTerminalOptions) => Promise<TerminalConnection>>>,
  Holds<Same<TerminalSession, { readonly id: string; readonly createdAt: string; readonly pid: number }>>,
  Holds<Same<TerminalSize, { readonly cols: number; readonly rows: number }>>,
]

export type Connection = [
  Holds<Same<TerminalConnection['sessionId'], string>>,
  Holds<Same<TerminalConnection['chatId'], string | undefined>>,
  Holds<Same<TerminalConnection['closed'], Promise<TerminalClose>>>,
  Holds<Same<TerminalConnection['onData'], (listener: (chunk: Uint8Array) => void) => () => void>>,
  Holds<Same<Parameters<TerminalConnection['write']>, [data: string | Uint8Array]>>,
  Holds<Same<ReturnType<TerminalConnection['write']>, Promise<void>>>,
  Holds<Same<Parameters<TerminalConnection['resize']>, [cols: number, rows: number]>>,
  Holds<Same<ReturnType<TerminalConnection['close' | 'detach']>, Promise<TerminalClose>>>,
  Holds<Same<TerminalClose['cause'], 'local' | 'exited' | 'remote' | 'lost'>>,
  Holds<Same<RequiredKeys<TerminalClose>, 'code' | 'reason' | 'cause'>>,
]

export type Options = [
  Holds<Same<RequiredKeys<UpstreamOptions>, 'base' | 'userId'>>,
  Holds<Same<RequiredKeys<ConnectTerminalOptions>, 'base' | 'userId'>>,
  Holds<Same<RequiredKeys<TerminalSessionOptions>, 'base' | 'userId' | 'sessionId'>>,
  Holds<Same<RequiredKeys<UpstreamAuthOptions>, 'authType' | 'userId'>>,
  Holds<Same<keyof UpstreamTarget, 'sessionId' | 'policyId' | 'contextId'>>,
  Holds<Same<ConnectTerminalOptions['tokenInUrl'], 'always' | 'never' | 'fallback' | undefined>>,
  Holds<Same<ConnectTerminalOptions['WebSocket'], SocketConstructor | undefined>>,
  Holds<Same<ConnectTerminalOptions['sessionId'], Key>>,
  Holds<Same<ConnectTerminalOptions['retry'], RetryOptions | false | undefined>>,
  Holds<Same<ConnectTerminalOptions['reconnect'], ReconnectOptions | false | undefined>>,
  Holds<Same<UpstreamOptions['signal'], AbortSignal | undefined>>,
  Holds<Same<InstanceType<SocketConstructor>, SocketLike>>,
]

export type Errors = [
  Holds<Same<TerminalError['code'], TerminalErrorCode>>,
  Holds<Same<TerminalError['status'], number | undefined>>,
  Holds<Same<TerminalError['closeCode'], number | undefined>>,
  Holds<Same<TerminalError['closeReason'], string | undefined>>,
  Holds<Same<keyof TerminalErrorOptions, 'why' | 'status' | 'closeCode' | 'closeReason' | 'cause'>>,
  Holds<
    Same<
      TerminalErrorCode,
      | 'ERR_TERMINAL_INVALID_URL'
      | 'ERR_TERMINAL_UNAUTHORIZED'
      | 'ERR_TERMINAL_FORBIDDEN'
      | 'ERR_TERMINAL_MISSING_USER'
      | 'ERR_TERMINAL_NOT_FOUND'
      | 'ERR_TERMINAL_IN_USE'
      | 'ERR_TERMINAL_LIMIT'
      | 'ERR_TERMINAL_UNAVAILABLE'
      | 'ERR_TERMINAL_TIMEOUT'
      | 'ERR_TERMINAL_PROTOCOL'
      | 'ERR_TERMINAL_INPUT_STALLED'
      | 'ERR_TERMINAL_CLOSED'
      | 'ERR_TERMINAL_RECONNECTING'
    >
  >,
]

export const everyOption: Omit<Required<ConnectTerminalOptions>, 'WebSocket'> = {
  base: new URL('https://terminals.example'),
  authType: 'system_oauth',
  key: async () => undefined,
  userId: 'ada',
  policyId: 'default',
  contextId: 'chat:1',
  chatId: '1',
  cookie: 'a=b',
  headers: { 'CF-Access-Client-Id': 'id' },
  signal: new AbortController().signal,
  sessionId: '8f14e45f',
  createIfGone: true,
  size: { cols: 80, rows: 24 },
  tokenInUrl: 'fallback',
  timeout: 1,
  retry: { attempts: 1, delay: 1 },
  reconnect: { delay: 1, timeout: 1 },
  deleteOnClose: true,
  settle: 1,
  keepAlive: 0,
  maxBuffered: 1,
}

// An option that is `undefined` must be accepted like a missing one.
export const noOption: ConnectTerminalOptions = {
  base: '',
  userId: 'ada',
  authType: undefined,
  key: undefined,
  signal: undefined,
  sessionId: undefined,
  retry: undefined,
  reconnect: undefined,
  deleteOnClose: undefined,
  WebSocket: undefined,
}

export const keys: Array<ConnectTerminalOptions['key']> = ['sk-1', null, () => null, () => 'sk-1', async () => 'sk-1']

export async function use(options: ConnectTerminalOptions): Promise<string> {
  await using terminal = await connectTerminal(options)
  const stop: () => void = terminal.onData((chunk) => chunk.byteLength)
  terminal.resize(80, 24)
  await terminal.write('text')
  await terminal.write(new Uint8Array(1))
  for await (const chunk of terminal) if (chunk.length > 0) break
  stop()
  const { code, reason, cause, error }: TerminalClose = await terminal.close()
  if (error instanceof TerminalError) throw error
  return `${code} ${reason} ${cause}`
}

export function misuse(terminal: TerminalConnection, error: TerminalError): void {
  // @ts-expect-error -- no such auth type
  buildUpstreamWsUrl('http://h', 'basic', 'sk-1', 'ada')
  // @ts-expect-error -- `userId` is required
  buildUpstreamWsUrl('http://h', 'bearer', 'sk-1')
  // @ts-expect-error -- ids are strings
  buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada', { sessionId: 1 })
  // @ts-expect-error -- misspelt
  buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada', { sessionID: '1' })
  // @ts-expect-error -- `authType` is required here
  buildUpstreamAuth({ userId: 'ada' })
  // @ts-expect-error -- `userId` is required
  void connectTerminal({ base: 'http://h' })
  // @ts-expect-error -- `sessionId` is required
  void getTerminalSession({ base: 'http://h', userId: 'ada' })
  // @ts-expect-error -- no such value
  void connectTerminal({ base: 'http://h', userId: 'ada', tokenInUrl: true })
  // @ts-expect-error -- `rows` is required
  void connectTerminal({ base: 'http://h', userId: 'ada', size: { cols: 80 } })
  // @ts-expect-error -- misspelt
  void connectTerminal({ base: 'http://h', userId: 'ada', createIfGnoe: true })
  // @ts-expect-error -- only `false` switches it off
  void connectTerminal({ base: 'http://h', userId: 'ada', retry: true })
  // @ts-expect-error -- neither text nor bytes
  void terminal.write(1)
  // @ts-expect-error -- read-only
  terminal.sessionId = ''
  // @ts-expect-error -- read-only
  error.code = 'ERR_TERMINAL_CLOSED'
  // @ts-expect-error -- no such code
  void (error.code === 'ERR_TERMINAL_GONE')
}
