import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { UpstreamSocket, type SocketEnd } from '../../src/terminal/socket.ts'
import { sendsHeaders, WebSocket as ownWebSocket, type SocketConstructor } from '../../src/terminal/socket-class.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { nothingHappens } from '../support/timers.ts'
import { afterwards, nobody, serve, until } from '../support/upstream.ts'

/** Resolves with how a socket ends. */
function endOf(socket: UpstreamSocket): Promise<SocketEnd> {
  return new Promise((onEnd) => socket.observe({ onEnd }))
}

/** Dials; resolves when the socket has opened or ended. */
async function dial(
  base: string,
  Socket: SocketConstructor,
  push: (data: Uint8Array, isBinary: boolean) => void = () => {},
): Promise<UpstreamSocket> {
  const socket = new UpstreamSocket(Socket, base.replace('http', 'ws'), {})
  socket.receiver = { push }
  afterwards({ close: () => socket.drop() })
  await new Promise<unknown>((settle) => socket.observe({ onOpen: () => settle('open'), onEnd: settle }))
  return socket
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

it('a socket sends no ping over a class that has ping() but no pong event, as that of Bun', async () => {
  const seen: string[] = []
  class BunSocket extends (browserSocket as unknown as typeof EventTarget) {
    ping(): void {
      seen.push('ping')
    }
    terminate(): void {}
  }
  const base = await serve((server) => new WebSocketServer({ server }))
  const socket = await dial(base, BunSocket as unknown as SocketConstructor)
  // Without the event, it would never notice the pong.
  expect(socket.ping()).toBe(false)
  expect(seen).toEqual([])
})

it('a socket ends with 1006 when the connection drops and the class reports 0, as that of Deno', async () => {
  class DenoSocket extends (browserSocket as unknown as typeof EventTarget) {
    override dispatchEvent(event: Event): boolean {
      return super.dispatchEvent('code' in event ? Object.assign(event, { code: 0 }) : event)
    }
  }
  const base = await serve((server) => {
    new WebSocketServer({ server }).once('connection', (ws) => ws.terminate())
  })
  const socket = await dial(base, DenoSocket as unknown as SocketConstructor)
  expect(await endOf(socket)).toMatchObject({ code: 1006 })
})

it('a socket of ws ends with 1000 when it is closed while it is paused', async () => {
  const base = await serve((server) => new WebSocketServer({ server }))
  const socket = await dial(base, WebSocket)
  socket.pause()
  socket.close(false)
  expect(await endOf(socket)).toMatchObject({ code: 1000 })
})

it.each<[string, number, SocketConstructor, [number, string]]>([
  ['ws', 4000, WebSocket, [4000, 'bye']],
  ['ws', 1001, WebSocket, [1001, 'bye']],
  ["a browser's socket", 4000, browserSocket, [4000, 'bye']],
  ["a browser's socket", 1001, browserSocket, [1000, 'bye']],
])('a socket of %s that is closed with %i sends what its class allows', async (_which, code, Socket, received) => {
  let closed: Promise<unknown[]> | undefined
  const base = await serve((server) => {
    new WebSocketServer({ server }).once('connection', (ws) => (closed = once(ws, 'close')))
  })
  const socket = await dial(base, Socket)
  socket.close(false, code, 'bye')
  await endOf(socket)
  expect((await closed)?.map((value) => (Buffer.isBuffer(value) ? value.toString() : value))).toEqual(received)
})

describe.each([
  ['ws', WebSocket],
  ["a browser's socket", browserSocket],
])('a socket of %s', (_which, Socket) => {
  it('delivers text and binary messages as bytes, and tells which of both it was', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).once('connection', (ws) => {
        ws.send('grüße')
        ws.send(Uint8Array.of(0xff))
      })
    })
    const messages: Array<[data: string, isBinary: boolean]> = []
    await dial(base, Socket, (data, isBinary) => {
      messages.push([Buffer.from(data).toString('latin1'), isBinary])
    })
    await until(() => messages.length === 2)
    expect(messages).toEqual([
      [Buffer.from('grüße').toString('latin1'), false],
      ['\xff', true],
    ])
  })

  it('resolves send while the server reads', async () => {
    const base = await serve((server) => new WebSocketServer({ server }))
    const socket = await dial(base, Socket)
    for (let count = 0; count < 100; count += 1) await socket.send(new ArrayBuffer(64 * 1024))
  })

  it('does not resolve send while the server does not read', async () => {
    const socket = await dial(await deaf(), Socket)
    const stuck = (): Promise<string> => nothingHappens(200).then(() => 'stuck')
    // The buffers of the kernel take the first messages.
    let sending
    do sending = socket.send(new ArrayBuffer(1024 * 1024))
    while ((await Promise.race([sending, stuck()])) !== 'stuck')
    sending.catch(() => {})
    socket.drop()
  })

  it('ends with 1006, and does not reject, when the connection is refused', async () => {
    const socket = await dial(await nobody(), Socket)
    expect(await endOf(socket)).toMatchObject({ code: 1006, reason: '', opened: false, status: undefined })
  })

  it('ends with the code and reason of the server', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => ws.close(4004, 'Session not found'))
    })
    const socket = await dial(base, Socket)
    expect(await endOf(socket)).toMatchObject({ code: 4004, reason: 'Session not found', opened: true })
  })

  it('reads while it closes with `patient`, although it is paused', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => {
        // The server sends for 3 s before it answers the close frame; without `patient`, a socket waits for 2 s.
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
    const socket = await dial(base, Socket, () => (received += 1))
    socket.close(true)
    socket.pause()
    expect(await endOf(socket)).toMatchObject({ code: 1000 })
    expect(received).toBe(6)
  })

  it('ends at once with 1006 when it is dropped', async () => {
    const socket = await dial(await deaf(), Socket)
    socket.drop()
    expect(await endOf(socket)).toMatchObject({ code: 1006, opened: true })
  })
})
