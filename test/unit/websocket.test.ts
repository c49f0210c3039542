import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  openLink,
  sendsHeaders,
  WebSocket as ownWebSocket,
  type Link,
  type SocketConstructor,
} from '../../src/terminal/websocket.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { afterwards, nobody, serve, until } from '../support/upstream.ts'

async function linkTo(base: string, Socket: SocketConstructor): Promise<Link> {
  const link = openLink(Socket, base.replace('http', 'ws'), {}, () => {})
  afterwards({ close: () => link.drop() })
  await Promise.race([link.opened, link.ended])
  return link
}

/** A server that accepts, and never reads. */
function deaf(): Promise<string> {
  return serve((server) => new WebSocketServer({ server }).on('connection', (ws) => ws.pause()))
}

it('is that of ws in Node', () => {
  expect(ownWebSocket).toBe(WebSocket)
})

it('takes only classes that emit events as Node does for ws, which can send headers', () => {
  expect(sendsHeaders(WebSocket)).toBe(true)
  expect(sendsHeaders(browserSocket)).toBe(false)
})

it('does not take a class for ws that can do some of the same, as that of Bun', async () => {
  const seen: string[] = []
  class BunSocket extends (browserSocket as unknown as typeof EventTarget) {
    ping(): void {
      seen.push('ping')
    }
    terminate(): void {}
  }
  const base = await serve((server) => new WebSocketServer({ server }))
  const link = await linkTo(base, BunSocket as unknown as SocketConstructor)
  // It would wait for the pong, which that class does not tell of.
  expect(link.ping()).toBe(false)
  expect(seen).toEqual([])
})

it('says 1006 of a connection that dropped, also where the class says 0, as that of Deno', async () => {
  class DenoSocket extends (browserSocket as unknown as typeof EventTarget) {
    override dispatchEvent(event: Event): boolean {
      return super.dispatchEvent('code' in event ? Object.assign(event, { code: 0 }) : event)
    }
  }
  const base = await serve((server) => {
    new WebSocketServer({ server }).once('connection', (ws) => ws.terminate())
  })
  const link = await linkTo(base, DenoSocket as unknown as SocketConstructor)
  expect(await link.ended).toMatchObject({ code: 1006 })
})

it('closes politely also while it is paused', async () => {
  const base = await serve((server) => new WebSocketServer({ server }))
  const link = await linkTo(base, WebSocket)
  link.pause()
  link.close(false)
  expect(await link.ended).toMatchObject({ code: 1000 })
})

it.each<[string, SocketConstructor, number, [number, string]]>([
  ['ws', WebSocket, 4000, [4000, 'bye']],
  ['ws', WebSocket, 1001, [1001, 'bye']],
  ["a browser's socket", browserSocket, 4000, [4000, 'bye']],
  ["a browser's socket", browserSocket, 1001, [1000, 'bye']],
])('over %s closes with %i as far as that may say it', async (_which, Socket, code, received) => {
  let closed: Promise<unknown[]> | undefined
  const base = await serve((server) => {
    new WebSocketServer({ server }).once('connection', (ws) => (closed = once(ws, 'close')))
  })
  const link = await linkTo(base, Socket)
  link.close(false, code, 'bye')
  await link.ended
  expect((await closed)?.map((value) => (Buffer.isBuffer(value) ? value.toString() : value))).toEqual(received)
})

describe.each([
  ['ws', WebSocket],
  ["a browser's socket", browserSocket],
])('a link over %s', (_which, Socket) => {
  it('hands over text as bytes, and which of both it was', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).once('connection', (ws) => {
        ws.send('grüße')
        ws.send(Uint8Array.of(0xff))
      })
    })
    const messages: Array<[data: string, isBinary: boolean]> = []
    const link = openLink(Socket, base.replace('http', 'ws'), {}, (data, isBinary) => {
      messages.push([Buffer.from(data).toString('latin1'), isBinary])
    })
    afterwards({ close: () => link.drop() })
    await until(() => messages.length === 2)
    expect(messages).toEqual([
      [Buffer.from('grüße').toString('latin1'), false],
      ['\xff', true],
    ])
  })

  it('resolves send at once as long as the server reads', async () => {
    const base = await serve((server) => new WebSocketServer({ server }))
    const link = await linkTo(base, Socket)
    for (let count = 0; count < 100; count += 1) await link.send(new ArrayBuffer(64 * 1024))
  })

  it('does not resolve send as long as the server does not', async () => {
    const link = await linkTo(await deaf(), Socket)
    const patience = (): Promise<string> => new Promise((resolve) => setTimeout(resolve, 200, 'stuck'))
    // The kernel's buffers take some.
    let sending
    do sending = link.send(new ArrayBuffer(1024 * 1024))
    while ((await Promise.race([sending, patience()])) !== 'stuck')
    sending.catch(() => {})
    link.drop()
  })

  it('ends with 1006 when nobody listens, and does not reject', async () => {
    const link = await linkTo(await nobody(), Socket)
    expect(await link.ended).toMatchObject({ code: 1006, reason: '', opened: false, status: undefined })
  })

  it('ends with the code and reason of the server', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => ws.close(4004, 'Session not found'))
    })
    const link = await linkTo(base, Socket)
    expect(await link.ended).toMatchObject({ code: 4004, reason: 'Session not found', opened: true })
  })

  it('goes on reading while it closes patiently, and cannot be paused then', async () => {
    const base = await serve((server) => {
      new WebSocketServer({ server }).on('connection', (ws) => {
        // Not an answer to the close, as long as there is something left to say.
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
    const link = openLink(Socket, base.replace('http', 'ws'), {}, () => (received += 1))
    await link.opened
    link.close(true)
    link.pause()
    expect(await link.ended).toMatchObject({ code: 1000 })
    expect(received).toBe(6)
  })

  it('ends at once when it is dropped', async () => {
    const link = await linkTo(await deaf(), Socket)
    link.drop()
    expect(await link.ended).toMatchObject({ code: 1006, opened: true })
  })
})
