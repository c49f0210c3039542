import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Ending } from '../../src/terminal/ending.ts'
import { Link, type Receiver } from '../../src/terminal/socket.ts'
import { sendsHeaders, WebSocket as ownWebSocket, type SocketConstructor } from '../../src/terminal/socket-class.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { nothingHappens } from '../support/timers.ts'
import { afterwards, nobody, serve, until } from '../support/upstream.ts'

/** Resolves when a link has opened or ended. */
function settled(link: Link<Receiver>): Promise<unknown> {
  return new Promise((resolve) => {
    link.observe({ onOpen: () => resolve('open'), onMessage() {}, onPong() {}, onEnd: resolve })
  })
}

/** Resolves with how a link ends. */
function endOf(link: Link<Receiver>): Promise<Ending> {
  return new Promise((resolve) => link.observe({ onMessage() {}, onPong() {}, onEnd: resolve }))
}

/** Opens a link; resolves when it has opened or ended. */
async function linkTo(base: string, Socket: SocketConstructor): Promise<Link<Receiver>> {
  const link = new Link(Socket, base.replace('http', 'ws'), {}, () => ({ push() {} }))
  afterwards({ close: () => link.drop() })
  await settled(link)
  return link
}

/** Starts a server that accepts connections and never reads. */
function deaf(): Promise<string> {
  return serve((server) => new WebSocketServer({ server }).on('connection', (ws) => ws.pause()))
}

it('WebSocket is the class of ws in Node', () => {
  expect(ownWebSocket).toBe(WebSocket)
})

it('sendsHeaders is true for ws, and false for a class of browsers', () => {
  expect(sendsHeaders(WebSocket)).toBe(true)
  expect(sendsHeaders(browserSocket)).toBe(false)
})

it('a link sends no ping over a class that has ping() but no pong event, as that of Bun', async () => {
  const seen: string[] = []
  class BunSocket extends (browserSocket as unknown as typeof EventTarget) {
    ping(): void {
      seen.push('ping')
    }
    terminate(): void {}
  }
  const base = await serve((server) => new WebSocketServer({ server }))
  const link = await linkTo(base, BunSocket as unknown as SocketConstructor)
  // Without the event, the link would never notice the pong.
  expect(link.ping()).toBe(false)
  expect(seen).toEqual([])
})

it('a link ends with 1006 when the connection drops and the class reports 0, as that of Deno', async () => {
  class DenoSocket extends (browserSocket as unknown as typeof EventTarget) {
    override dispatchEvent(event: Event): boolean {
      return super.dispatchEvent('code' in event ? Object.assign(event, { code: 0 }) : event)
    }
  }
  const base = await serve((server) => {
    new WebSocketServer({ server }).once('connection', (ws) => ws.terminate())
  })
  const link = await linkTo(base, DenoSocket as unknown as SocketConstructor)
  expect(await endOf(link)).toMatchObject({ code: 1006 })
})

it('a link over ws ends with 1000 when it is closed while it is paused', async () => {
  const base = await serve((server) => new WebSocketServer({ server }))
  const link = await linkTo(base, WebSocket)
  link.pause()
  link.close(false)
  expect(await endOf(link)).toMatchObject({ code: 1000 })
})

it.each<[string, number, SocketConstructor, [number, string]]>([
  ['ws', 4000, WebSocket, [4000, 'bye']],
  ['ws', 1001, WebSocket, [1001, 'bye']],
  ["a browser's socket", 4000, browserSocket, [4000, 'bye']],
  ["a browser's socket", 1001, browserSocket, [1000, 'bye']],
])(
  'a link over %s that is closed with %i sends the code that its class allows',
  async (_which, code, Socket, received) => {
    let closed: Promise<unknown[]> | undefined
    const base = await serve((server) => {
      new WebSocketServer({ server }).once('connection', (ws) => (closed = once(ws, 'close')))
    })
    const link = await linkTo(base, Socket)
    link.close(false, code, 'bye')
    await endOf(link)
    expect((await closed)?.map((value) => (Buffer.isBuffer(value) ? value.toString() : value))).toEqual(received)
  },
)

describe.each([
  ['ws', WebSocket],
  ["a browser's socket", browserSocket],
])('a link over %s', (_which, Socket) => {
  it('delivers text and binary messages as bytes, and tells which of both it was', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).once('connection', (ws) => {
        ws.send('grüße')
        ws.send(Uint8Array.of(0xff))
      })
    })
    const messages: Array<[data: string, isBinary: boolean]> = []
    const link = new Link(Socket, base.replace('http', 'ws'), {}, () => ({
      push: (data: Uint8Array, isBinary: boolean) =>
        void messages.push([Buffer.from(data).toString('latin1'), isBinary]),
    }))
    afterwards({ close: () => link.drop() })
    await until(() => messages.length === 2)
    expect(messages).toEqual([
      [Buffer.from('grüße').toString('latin1'), false],
      ['\xff', true],
    ])
  })

  it('resolves send while the server reads', async () => {
    const base = await serve((server) => new WebSocketServer({ server }))
    const link = await linkTo(base, Socket)
    for (let count = 0; count < 100; count += 1) await link.send(new ArrayBuffer(64 * 1024))
  })

  it('does not resolve send while the server does not read', async () => {
    const link = await linkTo(await deaf(), Socket)
    const stuck = (): Promise<string> => nothingHappens(200).then(() => 'stuck')
    // The buffers of the kernel take the first messages.
    let sending
    do sending = link.send(new ArrayBuffer(1024 * 1024))
    while ((await Promise.race([sending, stuck()])) !== 'stuck')
    sending.catch(() => {})
    link.drop()
  })

  it('ends with 1006, and does not reject, when the connection is refused', async () => {
    const link = await linkTo(await nobody(), Socket)
    expect(await endOf(link)).toMatchObject({ code: 1006, reason: '', opened: false, status: undefined })
  })

  it('ends with the code and reason of the server', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => ws.close(4004, 'Session not found'))
    })
    const link = await linkTo(base, Socket)
    expect(await endOf(link)).toMatchObject({ code: 4004, reason: 'Session not found', opened: true })
  })

  it('reads while it closes with `patient`, although it is paused', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => {
        // The server sends for 3 s before it answers the close frame; without `patient`, a link waits for 2 s.
        ws.pause()
        let rest = 6
        const timer = setInterval(() => {
          ws.send(new Uint8Array(1))
          rest -= 1
          if (rest > 0) return
          clearInterval(timer)
          ws.resume()
        }, 500)
      })
    })
    let received = 0
    const link = new Link(Socket, base.replace('http', 'ws'), {}, () => ({ push: () => void (received += 1) }))
    await settled(link)
    link.close(true)
    link.pause()
    expect(await endOf(link)).toMatchObject({ code: 1000 })
    expect(received).toBe(6)
  })

  it('ends at once with 1006 when it is dropped', async () => {
    const link = await linkTo(await deaf(), Socket)
    link.drop()
    expect(await endOf(link)).toMatchObject({ code: 1006, opened: true })
  })
})
