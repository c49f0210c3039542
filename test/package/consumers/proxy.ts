import { createServer } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import type { ConnectTerminalOptions } from '../../../src/index.ts'
import {
  proxyTerminal,
  type AuthorizeOptions,
  type ClientSocket,
  type Counters,
  type ProxyOptions,
  type ProxiedClient,
  type ProxySummary,
  type TerminalClient,
  type TerminalOptions,
} from '../../../src/proxy.ts'

const terminals: TerminalOptions = { keepAlive: 0 }
const upstream: ConnectTerminalOptions = { base: 'http://127.0.0.1:8000', userId: 'ada' }

export const accepted: ProxyOptions[] = [
  upstream,
  { authorize: () => upstream, ...terminals },
  { authorize: async ({ token, chatId, request }) => ({ ...upstream, key: token, chatId, policyId: request?.url }) },
  { authorize: () => upstream, authTimeout: 1_000, request: undefined },
  { authorize: ({ request }: TerminalClient) => ({ ...upstream, userId: String(request.url) }), maxBuffered: 1 },
  // @ts-expect-error -- neither an upstream nor `authorize`
  { authTimeout: 1_000 },
  // @ts-expect-error -- `base` and `userId` are required
  { authorize: () => ({ key: 'sk-1' }) },
  // @ts-expect-error -- `authorize` says who the user is
  { authorize: () => upstream, base: 'http://127.0.0.1:8000', userId: 'ada' },
  // @ts-expect-error -- it belongs to an upstream
  { authorize: () => upstream, sessionId: 's1' },
  // @ts-expect-error -- there is nobody to ask
  { ...upstream, authTimeout: 1_000 },
]

const authorize: AuthorizeOptions['authorize'] = ({ chatId, request }: ProxiedClient) => ({
  ...upstream,
  chatId: chatId ?? request?.url,
})

export function serve(): WebSocketServer {
  return new WebSocketServer({ server: createServer() }).on('connection', (client: WebSocket, request) => {
    const socket: ClientSocket = client
    const summary: Promise<ProxySummary & Counters> = proxyTerminal(socket, { authorize, request })
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
