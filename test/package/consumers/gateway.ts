import { createServer, type Server } from 'node:http'
import {
  createTerminalGateway,
  type AttachedEvent,
  type ClosedEvent,
  type GatewayClient,
  type GatewaySession,
  type ParkedEvent,
  type RefusedEvent,
  type RefusedReason,
  type ResumedEvent,
  type TerminalGateway,
  type TerminalGatewayOptions,
} from '../../../src/gateway.ts'
import type { UpstreamOptions } from '../../../src/index.ts'

const upstream: UpstreamOptions = { base: 'http://127.0.0.1:8000', userId: 'ada' }

function authorize({ token, userId, chatId, policyId, contextId, sessionId, request }: GatewayClient): UpstreamOptions {
  return { ...upstream, key: `${token}${userId}${sessionId}${request.url}`, chatId, policyId, contextId }
}

export const accepted: TerminalGatewayOptions[] = [
  { authorize },
  { authorize: async () => upstream, path: '/terminal', origins: ['https://chat.example'], sessionsPerUser: 2 },
  { authorize, origins: 'any', unauthenticated: 10, authTimeout: 1_000, size: { cols: 80, rows: 24 }, retry: {} },
  // @ts-expect-error -- `authorize` is required
  { path: '/terminal' },
  // @ts-expect-error -- `base` and `userId` are required
  { authorize: () => ({ key: 'sk-1' }) },
  // @ts-expect-error -- no such word
  { authorize, origins: 'some' },
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
  const reason: RefusedReason = 'upstream'
  const refused: RefusedEvent = { userId: 'ada', reason, status: times.length }
  console.log(events, refused)
  await gateway.close({ drain: 1_000 })
  return server
}
