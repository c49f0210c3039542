export { buildUpstreamWsUrl } from './upstream/url.ts'
export type { UpstreamTarget } from './upstream/url.ts'

export { buildUpstreamAuth } from './upstream/auth.ts'
export type { AuthType, UpstreamAuth, UpstreamAuthOptions } from './upstream/auth.ts'

export {
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
} from './upstream/sessions.ts'
export type { TerminalSession, TerminalSessionOptions } from './upstream/sessions.ts'
export type { UpstreamOptions } from './upstream/options.ts'

export { connectTerminal } from './terminal/connect.ts'
export type { ConnectTerminalOptions } from './terminal/settings.ts'
export type {
  ReconnectOptions,
  RetryOptions,
  TerminalClose,
  TerminalConnection,
  TerminalStatus,
} from './terminal/types.ts'
export type { TerminalSize } from './upstream/protocol.ts'
export type { SocketConstructor, SocketLike } from './terminal/socket-class.ts'

export { TerminalError } from './lib/errors.ts'
export type { TerminalErrorCode, TerminalErrorOptions } from './lib/errors.ts'
