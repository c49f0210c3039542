export { proxyTerminal } from './proxy/proxy-terminal.ts'
export type { AuthorizeOptions, ProxyOptions, ProxySummary } from './proxy/proxy-terminal.ts'

export type { ClientSocket } from './proxy/client-socket.ts'
export type { ClientAuth } from './proxy/commands.ts'
