import type { GatewaySession } from '../../src/gateway.ts'
import { as, attachAs, createAs, type ServedGateway } from './terminal-gateway.ts'
import { until } from './upstream.ts'

/** Creates a session of a user, joins a client to it, and lets the client leave. Returns the id of the session. */
export async function park(gateway: ServedGateway, userId = 'ada'): Promise<string> {
  const id = await createAs(gateway, as(userId))
  const { ws } = await attachAs(gateway, id, { token: `jwt-${userId}` })
  await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
  ws.close()
  await until(() => sessionOf(gateway, id)?.parkedSince !== undefined)
  return id
}

/** Returns a session of a gateway, as its operator sees it. */
export function sessionOf({ gateway }: ServedGateway, id: string): GatewaySession | undefined {
  return gateway.sessions.find((session) => session.id === id)
}

/** Returns the ids of all sessions of a gateway. */
export function idsOf({ gateway }: ServedGateway): string[] {
  return gateway.sessions.map(({ id }) => id)
}
