import { describe, expect, it, vi } from 'vitest'
import {
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  type ConnectTerminalOptions,
} from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { startFront, TOKEN } from '../support/front.ts'
import { probe, QUICK } from '../support/probe.ts'
import { clientTo, startProxy, summaryOf, type ProxyClient } from '../support/proxy.ts'
import { attachAs, createAs, startGateway } from '../support/terminal-gateway.ts'
import { connectTo, open } from '../support/terminal.ts'
import { clientOf, outputWith, rejection, releases, serve, until, upstreamOf, userOf } from '../support/upstream.ts'

const NEWEST = 'open-terminal@0.14.5'
vi.setConfig({ testTimeout: 60_000 })

/** Servers and probes for a loaded machine: an auth frame may come late. */
const PROBED = { ...QUICK, release: NEWEST, authTimeout: 3_000 } as const
const PATIENT = { timeout: 20_000 }
const BASIC = { Authorization: 'Basic YWRhOmNhbmFyeQ==' }

type Options = ReturnType<typeof userOf> & { headers: Record<string, string> }

describe('headers', () => {
  it.each(releases)('pass a front of %s with every request and every handshake', async (release) => {
    const upstream = await upstreamOf({ release })
    const front = await startFront(upstream)
    const terminal = await connectTo(front, { headers: TOKEN })
    const echoed = outputWith(terminal, 'hello')
    await terminal.write('hello')
    await echoed
    await terminal.close()
    await until(() => upstream.sessions.length === 0)
    expect(front.refused).toEqual([])
    const names = Object.keys(TOKEN).map((name) => name.toLowerCase())
    for (const { headers } of upstream.requests) expect(names.filter((name) => !(name in headers))).toEqual([])
  })

  const useSessions = async (options: Options): Promise<void> => {
    const session = await createTerminalSession(options)
    const one = { ...options, sessionId: session.id }
    expect(await listTerminalSessions(options)).toEqual([session])
    expect(await getTerminalSession(one)).toEqual(session)
    expect(await deleteTerminalSession(one)).toBe(true)
  }
  const paste = async (options: Options): Promise<void> =>
    (await connectTo({ url: options.base }, options)).write('x'.repeat(20_000))
  const echoTo = async ({ ws, printed }: ProxyClient): Promise<void> => {
    ws.send(Buffer.from('hello'))
    await printed('hello')
    ws.close(1000)
  }
  const useProxy = async (options: Options): Promise<void> => {
    const proxy = await startProxy(() => options)
    await echoTo(await clientTo(proxy))
    expect(await summaryOf(proxy)).toMatchObject({ endedBy: 'client', code: 1000 })
  }
  const useGateway = async (options: Options): Promise<void> => {
    const authorize = (): Options => {
      const headers = { ...TOKEN }
      setImmediate(() => Object.assign(headers, { 'CF-Access-Client-Secret': 'changed' }))
      return { ...options, headers }
    }
    const gateway = await startGateway({ authorize })
    await echoTo(await attachAs(gateway, await createAs(gateway)))
    await gateway.gateway.close()
  }
  // What the caller changes later is not sent.
  const changing = (call: (options: Options) => Promise<unknown>) => (options: Options) => {
    const headers = { ...TOKEN }
    const key = (): string => {
      Object.assign(headers, { 'CF-Access-Client-Id': 'changed', 'CF-Access-Client-Secret': 'changed' })
      return options.key
    }
    return call({ ...options, headers, key: key as never })
  }

  it.each<[string, (options: Options) => Promise<unknown>]>([
    ['every function for sessions', useSessions],
    ['the question which input the server takes', paste],
    ['connectTerminal, as they were when it was called', changing(connectTerminal)],
    ['createTerminalSession, as they were when it was called', changing(createTerminalSession)],
    ['listTerminalSessions, as they were when it was called', changing(listTerminalSessions)],
    ['proxyTerminal', useProxy],
    ['a gateway, as `authorize` returns them, although they change later', useGateway],
  ])('go with %s', async (_what, act) => {
    const upstream = await upstreamOf({ release: NEWEST })
    const front = await startFront(upstream)
    await act({ ...userOf(front), headers: TOKEN })
    expect(upstream.requests).not.toEqual([])
    expect(front.refused).toEqual([])
  })

  it('carry basic auth where no key is sent', async () => {
    const upstream = await upstreamOf({ release: NEWEST, key: '' })
    const front = await startFront(upstream, BASIC)
    await (await connectTo(front, { key: undefined, authType: 'none', headers: BASIC })).close()
    expect(front.refused).toEqual([])
  })

  it('reach the server as they are, also one called __proto__', async () => {
    const seen: string[][] = []
    const base = await serve((server) => {
      server.on('request', ({ rawHeaders }, response) => {
        seen.push(rawHeaders)
        response.end('[]')
      })
    })
    const headers = JSON.parse('{"__proto__":"zoë, a=b","X-Odd-`~":"1"}') as Record<string, string>
    await listTerminalSessions({ base, userId: 'ada', headers })
    expect(seen).toEqual([expect.arrayContaining(['__proto__', 'zoë, a=b', 'X-Odd-`~', '1'])])
  })
})

describe('a socket that cannot send headers', () => {
  it('is refused before any request', async () => {
    const upstream = await upstreamOf()
    const options: ConnectTerminalOptions = { ...clientOf(upstream), WebSocket: browserSocket, headers: TOKEN }
    const message = '`headers` cannot be sent by this WebSocket: connect from a server'
    const misuse = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE', message }
    expect(await rejection(connectTerminal(options))).toMatchObject(misuse)
    expect(upstream.requests).toEqual([])
  })

  it('may be used when there are none', async () => {
    await open({}, { WebSocket: browserSocket, headers: {} })
  })
})

describe('a redirect', () => {
  it('takes the headers to no other server', async () => {
    let visits = 0
    const other = await serve((server) => {
      server.on('request', (_request, response) => response.end(`${(visits += 1)}`))
      server.on('upgrade', (_request, socket) => socket.end(`${(visits += 1)}`))
    })
    const base = await serve((server) => {
      server.on('request', ({ url }, response) => response.writeHead(307, { location: `${other}${url}` }).end())
      server.on('upgrade', ({ url }, socket) => {
        socket.end(`HTTP/1.1 307 Elsewhere\r\nLocation: ${other}${url}\r\nContent-Length: 0\r\n\r\n`)
      })
    })
    const options = { base, userId: 'ada', headers: TOKEN, sessionId: 's1', retry: { attempts: 1 } }
    for (const call of [createTerminalSession, listTerminalSessions, getTerminalSession, deleteTerminalSession]) {
      expect(await rejection(call(options))).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL' })
    }
    expect(await rejection(connectTerminal(options))).toMatchObject({ code: 'ERR_TERMINAL_PROTOCOL' })
    await probe(base, { headers: TOKEN })
    expect(visits).toBe(0)
  })
})

describe('a front', () => {
  it('cannot have a header that `authorize` may not return: a gateway answers 500', async () => {
    const upstream = await upstreamOf()
    const options = { ...clientOf(upstream), headers: { Host: 'elsewhere.example' } }
    const gateway = await startGateway({ authorize: () => options })
    const answer = await fetch(`${gateway.base}/api/terminals`, { method: 'POST' })
    expect([answer.status, upstream.requests]).toEqual([500, []])
  })

  it('is passed by the probe with every shape, and finds the release behind it', async () => {
    const upstream = await upstreamOf(PROBED)
    const front = await startFront(upstream)
    const report = await probe(front.url, { ...PATIENT, headers: TOKEN })
    expect(report).toMatchObject({ ok: true, works: 'frame', family: 'open-terminal@>=0.12.4' })
    expect(front.refused).toEqual([])
    expect((await probe(front.url)).ok).toBe(false)
  })

  it('with basic auth lets a probe through with that and no key', async () => {
    const upstream = await upstreamOf({ ...PROBED, key: '' })
    const front = await startFront(upstream, BASIC)
    const report = await probe(front.url, { ...PATIENT, key: undefined, authType: 'none', headers: BASIC })
    expect(report).toMatchObject({ ok: true, works: 'frame' })
  })
})
