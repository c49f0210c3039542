import { describe, expect, it } from 'vitest'
import type { TestUpstream } from '../../src/testing.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { relayTo, type CuttableRelay } from '../support/cuttable-relay.ts'
import { gateway as proxyTo, refuse } from '../support/gateway.ts'
import { connectTo } from '../support/terminal.ts'
import { pageOf, startGateway } from '../support/terminal-gateway.ts'
import { outputWith, until, upstreamOf } from '../support/upstream.ts'

/** A proxy that answers everything with 401 while its user is logged out. */
interface SsoProxy {
  readonly relay: CuttableRelay
  /** Logs the user out: requests get this status and body. */
  logOut(type: string, body: string): void
  logIn(): void
  /** The methods of the requests that got 401, `upgrade` for a handshake. */
  readonly refused: string[]
}

async function ssoInFrontOf({ url }: { url: string }): Promise<SsoProxy> {
  let answer: [type: string, body: string] | undefined
  const refused: string[] = []
  const base = await proxyTo(
    { url },
    {
      answer({ method }, response) {
        if (!answer) return false
        refused.push(String(method))
        const [type, body] = answer
        response.writeHead(401, { 'content-type': type }).end(body)
        return true
      },
      passes: () => !answer,
      upgrade(_request, socket) {
        refused.push('upgrade')
        refuse(socket, 401, ...(answer ?? []))
      },
    },
  )
  return {
    relay: await relayTo({ base }),
    logOut: (type, body) => void (answer = [type, body]),
    logIn: () => void (answer = undefined),
    refused,
  }
}

/** The DELETEs that an upstream has got. */
function deletions({ requests }: TestUpstream): unknown[] {
  return requests.filter(({ method }) => method === 'DELETE')
}

const PROXIES = [
  ['a page', 'text/html', '<title>Log in</title>'],
  ['JSON of its own', 'application/json', '{"error":"Unauthorized"}'],
  ['JSON of its own with a detail', 'application/json', '{"detail":"Session expired"}'],
] as const

// PROTOCOL 2.3
describe.each(PROXIES)('a 401 of a proxy in between, with %s,', (_what, type, body) => {
  it.each([
    ['in Node', {}],
    ['in a page', { WebSocket: browserSocket }],
  ])('does not end the tries to resume %s', async (_where, options) => {
    const gateway = await startGateway()
    const sso = await ssoInFrontOf({ url: gateway.base })
    const terminal = await connectTo(
      { url: sso.relay.base },
      { ...pageOf(sso.relay), reconnect: { delay: 1 }, ...options },
    )
    sso.logOut(type, body)
    sso.relay.cut('reset')
    await until(() => sso.refused.filter((method) => method === 'upgrade').length > 2)
    sso.logIn()
    await until(() => terminal.status === 'open')
    await terminal.write('here again')
    await outputWith(terminal, 'here again')
    expect(deletions(gateway.upstream)).toEqual([])
  })

  it('does not end the tries to delete a session', async () => {
    const upstream = await upstreamOf()
    const sso = await ssoInFrontOf(upstream)
    const terminal = await connectTo({ url: sso.relay.base })
    sso.logOut(type, body)
    void terminal.close()
    await until(() => sso.refused.filter((method) => method === 'DELETE').length > 2)
    sso.logIn()
    await until(() => deletions(upstream).length === 1)
  })

  it('says nothing about the shell of an open terminal', async () => {
    const upstream = await upstreamOf()
    const sso = await ssoInFrontOf(upstream)
    const terminal = await connectTo({ url: sso.relay.base })
    sso.logOut(type, body)
    await terminal.write('x')
    await until(() => sso.refused.includes('GET'))
    await terminal.write('still here')
    await outputWith(terminal, 'still here')
    expect(terminal.status).toBe('open')
    sso.logIn()
  })
})

// PROTOCOL 2.3
const OWN = ['Invalid API key', 'Invalid token', 'Missing Authorization header']

it.each(OWN)("a 401 with %j is the server's own: after a second one, no DELETE follows", async (detail) => {
  const upstream = await upstreamOf()
  const sso = await ssoInFrontOf(upstream)
  const terminal = await connectTo({ url: sso.relay.base })
  sso.logOut('application/json', JSON.stringify({ detail }))
  await terminal.close()
  expect(sso.refused.filter((method) => method === 'DELETE')).toHaveLength(2)
})
