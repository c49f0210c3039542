export { proxyTerminal } from './proxy/proxy-terminal.ts'
export type { AuthorizeOptions, ProxyOptions } from './proxy/proxy-terminal.ts'

export type { ClientSocket } from './client/socket.ts'
export type { ProxiedClient, TerminalClient, TerminalOptions } from './client/authorize.ts'
export type { ProxySummary } from './client/client.ts'
export type { Counters } from './client/counters.ts'
