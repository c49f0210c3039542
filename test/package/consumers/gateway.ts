import { createServer, type Server } from 'node:http'
import {
  createTerminalGateway,
  type AttachedEvent,
  type ClosedEvent,
  type GatewayAuthorization,
  type GatewaySession,
  type MovedBytes,
  type ParkedEvent,
  type RefusedEvent,
  type RefusedReason,
  type ResumedEvent,
  type SessionEvent,
  type TerminalClient,
  type TerminalGateway,
  type TerminalGatewayOptions,
  type TerminalOptions,
} from '../../../src/gateway.ts'
import type { UpstreamOptions } from '../../../src/index.ts'

const terminals: TerminalOptions = { maxBuffered: 1, tokenInUrl: 'never' }
const upstream: UpstreamOptions = { base: 'http://127.0.0.1:8000', userId: 'ada' }

function authorize(client: TerminalClient): GatewayAuthorization {
  const { token, userId, chatId, policyId, contextId, sessionId, request } = client
  return { ...upstream, key: `${token}${userId}${sessionId}${request.url}`, chatId, policyId, contextId }
}

export const accepted: TerminalGatewayOptions[] = [
  { authorize },
  { authorize: async () => upstream, path: '/terminal', origins: ['https://chat.example'], maxSessionsPerUser: 2 },
  {
    authorize,
    origins: 'any',
    keepFor: 0,
    replayBytes: 0,
    maxUnauthenticated: 10,
    authTimeout: 1_000,
    size: { cols: 80, rows: 24 },
    retry: {},
  },
  { authorize, ...terminals },
  // @ts-expect-error -- `authorize` is required
  { path: '/terminal' },
  // @ts-expect-error -- `base` and `userId` are required
  { authorize: () => ({ key: 'sk-1' }) },
  // @ts-expect-error -- no such word
  { authorize, origins: 'some' },
  // @ts-expect-error -- the names until 0.8
  { authorize, replay: 0, sessionsPerUser: 2, unauthenticated: 10 },
  // @ts-expect-error -- it belongs to a terminal of its own
  { authorize, sessionId: 's1' },
]

export async function serve(): Promise<Server> {
  const gateway: TerminalGateway = createTerminalGateway({ authorize })
  const { handleRequest, handleUpgrade } = gateway
  const server = createServer((request, response) => {
    const isAnswered: boolean = handleRequest(request, response)
    if (!isAnswered) response.end()
  })
  server.on('upgrade', (request, socket, head) => {
    if (!handleUpgrade(request, socket, head)) socket.destroy()
  })
  const sessions: readonly GatewaySession[] = gateway.sessions
  const times: Array<Date | undefined> = sessions.flatMap(({ since, attachedSince }) => [since, attachedSince])
  const events: Array<AttachedEvent | ClosedEvent | ParkedEvent | ResumedEvent> = []
  const about: SessionEvent | undefined = events[0]
  const moved: Partial<MovedBytes> | undefined = events.find((event) => 'closeCode' in event)
  const reason: RefusedReason = 'upstream'
  const refused: RefusedEvent = { userId: 'ada', reason, status: times.length }
  console.log(about, moved, refused)
  // @ts-expect-error -- no such option
  await gateway.close({ drain: 1_000 })
  await gateway.close({ timeout: 1_000 })
  return server
}
