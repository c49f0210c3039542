import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { connectTerminal, createTerminalSession, type TerminalConnection } from '../../src/index.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { clientTo, startProxy } from '../support/proxy.ts'
import { lenient, orchestrators, ownServers, strictInside } from '../support/raw-client.ts'
import { echo, promptAndEcho } from '../support/shells.ts'
import { open, refusalOf } from '../support/terminal.ts'
import { afterwards, clientOf, outputWith, rejection, serve, upstreamOf, userOf } from '../support/upstream.ts'

const withChat = [
  ...orchestrators.flatMap((release) =>
    lenient.map((inner) => ({ release, inner, where: `${release} in front of ${inner}` })),
  ),
  ...ownServers.map((release) => ({ release, inner: undefined, where: release })),
]

// ms. Longer than an orchestrator takes to notice a refusal of its connection.
const settle = 400

async function use(terminal: TerminalConnection): Promise<void> {
  afterwards(terminal)
  await terminal.write('hello')
  await outputWith(terminal, 'hello')
}

async function useProxied(server: TestUpstreamOptions): Promise<string | undefined> {
  const upstream = await upstreamOf(server)
  const proxy = await startProxy(() => ({ ...clientOf(upstream), settle, chatId: '7' }))
  const client = await clientTo(proxy)
  client.ws.send(Buffer.from('hello'))
  await client.printed('hello')
  client.ws.close()
  const summary = await proxy.served[0]?.summary
  expect(upstream.sessions).toEqual([])
  return summary?.chatId
}

describe.each([
  ['prompts', promptAndEcho],
  ['is silent', echo],
] as const)('connectTerminal with a chatId, when the shell %s,', (_what, shell) => {
  // PROTOCOL 3.11
  it.each(strictInside)('opens a terminal without the chat on $release in front of $inner', async (server) => {
    const upstream = await upstreamOf({ ...server, shell })
    const terminal = await connectTerminal({ ...clientOf(upstream), settle, chatId: '7' })
    await use(terminal)
    expect(terminal.chatId).toBeUndefined()
    // The session with the chat has been deleted.
    expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, chatId: '' }])
    await terminal.close()
    expect(upstream.sessions).toEqual([])
  })

  it.each(withChat)('keeps the chat on $where', async ({ release, inner }) => {
    const upstream = await upstreamOf({ release, inner, shell })
    const terminal = await connectTerminal({ ...clientOf(upstream), settle, chatId: '7' })
    await use(terminal)
    expect(terminal.chatId).toBe('7')
    expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, chatId: '7' }])
    expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })

  it('drops or keeps the chat in proxyTerminal too', async () => {
    expect(await useProxied({ release: 'terminals@0.2.2', shell })).toBeUndefined()
    expect(await useProxied({ release: 'open-terminal@0.14.5', shell })).toBe('7')
  })
})

it('connectTerminal without a chatId opens a terminal without one', async () => {
  const { terminal } = await open()
  expect(terminal.chatId).toBeUndefined()
})

it.each(orchestrators)(
  "connectTerminal rejects for a caller's session with a chat on %s, and keeps it",
  async (release) => {
    const upstream = await upstreamOf({ release, inner: 'open-terminal@0.14.5' })
    const client = { ...userOf(upstream), chatId: '7' }
    const { id: sessionId } = await createTerminalSession(client)
    const error = await rejection(connectTerminal({ ...client, settle, sessionId }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 })
    expect(error.message).toContain('or it has a `chatId`: leave `sessionId` out')
    expect(upstream.sessions).toMatchObject([{ id: sessionId, chatId: '7' }])
  },
)

// PROTOCOL 3.11
it('connectTerminal notices that a slow container refuses a chat after the first heartbeat', async () => {
  let created = 0
  const base = await serve((server) => {
    server.on('request', (request, response) => {
      if (request.method === 'POST') created += 1
      response.setHeader('X-Request-Id', '1').end(JSON.stringify({ id: String(created) }))
    })
    new WebSocketServer({ server }).on('connection', (client, { url = '' }) => {
      if (!url.includes('/1')) return client.send(Buffer.from('$ '))
      let isRefused = false
      client.once('message', () => setTimeout(() => (isRefused = true), 1_400))
      client.on('message', () => isRefused && client.close(1000))
    })
  })
  const terminal = await connectTerminal({ base, userId: 'ada', chatId: '7' })
  afterwards(terminal)
  expect([terminal.sessionId, terminal.chatId]).toEqual(['2', undefined])
})

it('connectTerminal replaces a session with a chat only once', async () => {
  const upstream = await upstreamOf({ faults: { attach: { refuse: 1000 } } })
  const error = await refusalOf(upstream, { settle, chatId: '7' })
  expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 })
  expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(2)
  expect(upstream.sessions).toEqual([])
})

it('connectTerminal rejects when another client has the session behind an orchestrator, and leaves the session alone', async () => {
  const upstream = await upstreamOf({ shell: echo })
  const first = await connectTerminal(clientOf(upstream))
  const again = { ...clientOf(upstream), settle, sessionId: first.sessionId }
  expect(await rejection(connectTerminal(again))).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 })
  await use(first)
})
