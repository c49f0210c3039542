export { buildUpstreamWsUrl } from './url.ts'
export type { UpstreamTarget } from './url.ts'

export { buildUpstreamAuth } from './auth.ts'
export type { AuthType, UpstreamAuth, UpstreamAuthOptions } from './auth.ts'

export { createTerminalSession, deleteTerminalSession, getTerminalSession, listTerminalSessions } from './sessions.ts'
export type { TerminalSession, TerminalSessionOptions } from './sessions.ts'
export type { UpstreamOptions } from './upstream.ts'

export { connectTerminal } from './connect.ts'
export type { ConnectTerminalOptions } from './connect.ts'
export type { TerminalClose, TerminalConnection } from './connection.ts'
export type { TerminalSize } from './protocol.ts'
export type { SocketConstructor, SocketLike } from './websocket.ts'

export { TerminalError } from './errors.ts'
export type { TerminalErrorCode, TerminalErrorOptions } from './errors.ts'
