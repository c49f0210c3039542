import { expect } from 'vitest'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import type { ProxyClient } from './proxy.ts'
import { attachAs, createAs, startGateway, type ServedGateway } from './terminal-gateway.ts'
import { until } from './upstream.ts'

/** What the client of a user says of itself. */
export const AUTH: { token: string } = { token: 'jwt-ada' }

/** Attaches a client that knows about offsets, and returns the frame that answers it. */
export async function resume(
  gateway: ServedGateway,
  id: string,
  offset: number | null,
  more: object = {},
): Promise<ProxyClient & { attached: { offset: number; replay: number; missing?: number; generation: string } }> {
  const client = await attachAs(gateway, id, { ...AUTH, offset, ...more })
  await until(() => client.messages.length > 0)
  const [first] = client.messages
  expect(first?.isBinary).toBe(false)
  return { ...client, attached: JSON.parse(String(first?.data)) }
}

/** Returns the output that a client has got. */
export function output({ messages }: ProxyClient): string {
  return Buffer.concat(messages.filter(({ isBinary }) => isBinary).map(({ data }) => data)).toString()
}

/** Starts a gateway with one session whose shell prints only what the test says, and parks the session. */
export async function parked(
  printed: string,
  options: Parameters<typeof startGateway>[0] = {},
  server: TestUpstreamOptions = {},
): Promise<{
  gateway: ServedGateway
  id: string
  readonly print: (text: string) => Promise<void>
}> {
  const gateway = await startGateway(options, { shell: silent, ...server })
  const id = await createAs(gateway)
  const print = async (text: string): Promise<void> => gateway.upstream.sessions[0]?.output(text)
  const client = await attachAs(gateway, id)
  await print(printed)
  if (printed !== '') await client.printed(printed.slice(-20))
  client.ws.close()
  await until(() => gateway.gateway.sessions[0]?.parkedSince !== undefined)
  return { gateway, id, print }
}

/** A shell that prints nothing by itself. */
export function silent(): { input(): void } {
  return { input() {} }
}
