import fc from 'fast-check'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { createTerminalGateway, type TerminalGateway } from '../../src/gateway.ts'
import { connectTerminal } from '../../src/index.ts'
import type { TestUpstream } from '../../src/testing.ts'
import { tcpOf } from '../support/frames.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { serverOf } from '../support/terminal-gateway.ts'
import { clientOf, listen, releases, until, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

const CLIENTS = 5_000
// Clients at the same time.
const AT_ONCE = 60
const USERS = 200

/** The sockets, servers and timers that keep this process alive. */
const KINDS = ['TCPSocketWrap', 'TCPServerWrap', 'TCPConnectWrap', 'Timeout']

function resources(): number[] {
  const all = process.getActiveResourcesInfo()
  return KINDS.map((kind) => all.filter((name) => name === kind).length)
}

interface Visit {
  /** The base URL of the gateway. */
  readonly base: string
  readonly userId: string
  readonly upstream: TestUpstream
  /** A random time, in ms. */
  readonly ms: number
}

const tokenOf = ({ userId }: Visit): string => `jwt-${userId}`
const headersOf = (visit: Visit): Record<string, string> => ({ Authorization: `Bearer ${tokenOf(visit)}` })

/** Creates a session; resolves with its id, or `undefined` if the user has too many or the upstream fails. */
async function create(visit: Visit): Promise<string | undefined> {
  const answer = await fetch(`${visit.base}/api/terminals`, { method: 'POST', headers: headersOf(visit) })
  return ((await answer.json()) as { id?: string }).id
}

/** Opens a WebSocket to a session. */
async function dial({ base }: Visit, id: string): Promise<WebSocket> {
  const ws = new WebSocket(`${base.replace('http', 'ws')}/api/terminals/${id}`)
  ws.on('error', () => {})
  await once(ws, 'open')
  return ws
}

/** Attaches a WebSocket to a session, by default to a new one; resolves when the auth frame is sent. */
async function attach(visit: Visit, again?: WebSocket, offset?: number | null): Promise<WebSocket> {
  const ws = await dial(visit, again?.url.split('/').at(-1) ?? (await create(visit)) ?? 'none')
  ws.send(JSON.stringify({ type: 'auth', token: tokenOf(visit), offset }))
  if (!again) ws.send(new Uint8Array(visit.ms * 100))
  await sleep(visit.ms)
  return ws
}

/** Sends bytes to the gateway, and ends the connection in a rude way. */
async function send({ base, ms }: Visit, text: string): Promise<void> {
  const socket = connect(Number(new URL(base).port), '127.0.0.1')
  socket.on('error', () => {})
  socket.write(text)
  await sleep(ms)
  if (ms % 2 === 0) socket.resetAndDestroy()
  else socket.destroy()
}

const UPGRADE = 'Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'

/** What clients do, the polite and the others. */
const visits: Record<string, (visit: Visit) => Promise<unknown>> = {
  async 'a page opens a terminal, types and closes it'(visit) {
    const page = { base: visit.base, authType: 'session', key: tokenOf(visit), userId: visit.userId } as const
    const terminal = await connectTerminal({ ...page, settle: 20, retry: { attempts: 1 } })
    await terminal.write('x'.repeat(visit.ms * 100))
    await terminal.close()
  },
  'a client drops': async (visit) => (await attach(visit)).terminate(),
  'a client resets': async (visit) => tcpOf(await attach(visit)).resetAndDestroy(),
  'a client closes': async (visit) => (await attach(visit)).close(1000),
  'a client sends garbage': async (visit) => void tcpOf(await attach(visit)).end(Buffer.alloc(40, 0xff)),
  async 'a client stops reading, and drops'(visit) {
    const ws = await attach(visit)
    ws.pause()
    await sleep(visit.ms)
    ws.terminate()
  },
  async 'a client drops, and comes back'(visit) {
    const ws = await attach(visit)
    ws.terminate()
    const again = await attach(visit, ws, visit.ms % 2 === 0 ? null : visit.ms)
    again.close()
  },
  async 'two clients take a session from each other'(visit) {
    const first = await attach(visit)
    const clients = [first]
    for (let count = 0; count < 4; count += 1) {
      const ws = await attach(visit, first, 0)
      clients.push(ws)
      ws.send('{"type":"resize","cols":100,"rows":30}')
    }
    for (const ws of clients) ws.terminate()
  },
  async 'the upstream ends the terminals of a user'(visit) {
    const ws = await attach(visit)
    const ends = ['exit', 'reset', 'stall'] as const
    for (const session of visit.upstream.sessions.filter(({ userId }) => userId === visit.userId)) {
      session[ends[visit.ms % 3] ?? 'exit']()
    }
    ws.close()
  },
  async 'a client deletes its session while another is attached to it'(visit) {
    const ws = await attach(visit)
    await fetch(ws.url.replace('ws', 'http'), { method: 'DELETE', headers: headersOf(visit) })
  },
  'a client creates a session and never comes': create,
  async 'a client creates a session and leaves before the answer'(visit) {
    const signal = AbortSignal.timeout(visit.ms + 1)
    await fetch(`${visit.base}/api/terminals`, { method: 'POST', headers: headersOf(visit), signal })
  },
  async 'a client never says who it is'(visit) {
    const ws = await dial(visit, 's1')
    await sleep(visit.ms)
    ws.terminate()
  },
  async 'a client floods before it says who it is'(visit) {
    const ws = await dial(visit, 's1')
    ws.send('x'.repeat(300_000))
    await once(ws, 'close')
  },
  'a client has a wrong token': ({ base }) =>
    fetch(`${base}/api/terminals`, { headers: { Authorization: 'Bearer no' } }),
  'a client sends a large body': (visit) => {
    return fetch(`${visit.base}/api/terminals`, {
      method: 'POST',
      headers: headersOf(visit),
      body: 'x'.repeat(200_000),
    })
  },
  'a client sends half a request': (visit) => send(visit, 'POST /api/terminals HTTP/1.1\r\nHost: h\r\nContent-Le'),
  'a client sends half a body': (visit) => {
    return send(visit, 'POST /api/terminals HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nx')
  },
  'a client sends no HTTP': (visit) => send(visit, '\0\0\0garbage\r\n\r\n'),
  'a client sends half a handshake': (visit) => send(visit, `GET /api/terminals/s1 HTTP/1.1\r\n${UPGRADE}`),
  'a client sends a handshake without a key': (visit) => {
    return send(visit, `GET /api/terminals/s1 HTTP/1.1\r\n${UPGRADE}\r\n`)
  },
  'a page of another origin opens a WebSocket': (visit) => {
    return send(visit, `GET /api/terminals/s1 HTTP/1.1\r\nOrigin: http://evil.example\r\n${UPGRADE}\r\n`)
  },
}

const lives = fc.record({
  upstream: fc.nat(releases.length - 1),
  user: fc.nat(USERS - 1),
  ms: fc.nat(40),
  kind: fc.constantFrom(...Object.keys(visits)),
})

it(`${CLIENTS} clients of every kind leave no socket, timer or session behind`, { timeout: 240_000 }, async () => {
  const before = resources()
  const upstreams = await Promise.all(releases.map((release) => upstreamOf({ release, redialDelay: 5 })))
  const servers = await Promise.all(upstreams.map((upstream) => serve(upstream)))
  const queue = fc.sample(lives, CLIENTS).values()
  const worker = async (): Promise<void> => {
    for (const { upstream, user, ms, kind } of queue) {
      const server = servers[upstream] ?? expect.unreachable()
      const visit = { ...server, userId: `user${user}`, ms }
      // Clients fail in many ways. What counts is what they leave behind.
      await visits[kind]?.(visit).catch(() => {})
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))

  for (const { base } of servers)
    expect((await fetch(`${base}/api/terminals`, { headers: { Authorization: 'Bearer jwt-x' } })).status).toBe(200)
  // All clients have left.
  const attachedNow = (): unknown[] => servers.flatMap(({ gateway }) => gateway.sessions.filter((s) => s.attachedSince))
  await until(() => attachedNow().length === 0)
  await Promise.all(servers.map(({ gateway }) => gateway.close({ timeout: 100 })))
  expect(servers.flatMap(({ gateway }) => gateway.sessions)).toEqual([])
  await until(() => upstreams.flatMap(({ sessions }) => sessions).length === 0)
  // Otherwise the clients do not reach what they should reach.
  const attached = upstreams.flatMap(({ requests }) => requests.filter(({ status }) => status === 101))
  expect(attached.length).toBeGreaterThan(1_000)
  await Promise.all(servers.map((server) => server.close()))
  await Promise.all(upstreams.map((upstream) => upstream.close()))
  const isLeft = (count: number, index: number): boolean => count > Number(before[index])
  for (let tries = 0; tries < 100 && resources().some(isLeft); tries += 1) await sleep(50)
  expect(KINDS.filter((_kind, index) => isLeft(Number(resources()[index]), index))).toEqual([])
})

interface Server {
  readonly base: string
  readonly gateway: TerminalGateway
  readonly upstream: TestUpstream
  close(): Promise<void>
}

/** Starts a gateway in front of an upstream. The token `jwt-NAME` stands for the user NAME. */
async function serve(upstream: TestUpstream): Promise<Server> {
  const gateway = createTerminalGateway({
    authorize: async ({ token }) => {
      await sleep(5)
      if (!token.startsWith('jwt-')) throw new Error('no user')
      return { ...clientOf(upstream), userId: token.slice(4) }
    },
    settle: 20,
    timeout: 2_000,
    retry: { attempts: 2, delay: 5 },
    maxUnauthenticated: 20,
  })
  const server = serverOf(gateway)
  const base = await listen(server)
  return {
    base,
    gateway,
    upstream,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
