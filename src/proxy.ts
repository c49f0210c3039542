export { proxyTerminal } from './proxy/proxy-terminal.ts'
export type { AuthorizeOptions, ProxyOptions, ProxySummary } from './proxy/proxy-terminal.ts'

export type { ClientSocket } from './client/socket.ts'
export type { ClientAuth } from './client/messages.ts'
