import { createServer, type IncomingMessage } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import type { ConnectTerminalOptions } from '../../../src/index.ts'
import {
  proxyTerminal,
  type AuthorizeOptions,
  type ClientAuth,
  type ClientSocket,
  type ProxyOptions,
  type ProxySummary,
} from '../../../src/proxy.ts'

const upstream: ConnectTerminalOptions = { base: 'http://127.0.0.1:8000', userId: 'ada' }

export const accepted: ProxyOptions[] = [
  upstream,
  { authorize: () => upstream },
  { authorize: async ({ token, chatId }, request) => ({ ...upstream, key: token, chatId, policyId: request?.url }) },
  { authorize: () => upstream, authTimeout: 1_000, request: undefined },
  // @ts-expect-error -- neither an upstream nor `authorize`
  { authTimeout: 1_000 },
  // @ts-expect-error -- `base` and `userId` are required
  { authorize: () => ({ key: 'sk-1' }) },
]

const authorize: AuthorizeOptions['authorize'] = (auth: ClientAuth, request?: IncomingMessage) => ({
  ...upstream,
  chatId: auth.chatId ?? request?.url,
})

export function serve(): WebSocketServer {
  return new WebSocketServer({ server: createServer() }).on('connection', (client: WebSocket, request) => {
    const socket: ClientSocket = client
    const summary: Promise<ProxySummary> = proxyTerminal(socket, { authorize, request })
    void summary.then(
      ({ endedBy, code, reason, error, sessionId, chatId, bytesToClient, bytesToUpstream, dropped }) => {
        const who: 'client' | 'upstream' | 'proxy' = endedBy
        const text: string = `${who} ${reason} ${error?.message} ${sessionId} ${chatId}`
        const sum: number = code + bytesToClient + bytesToUpstream + dropped
        return `${text} ${sum}`
      },
    )
  })
}
