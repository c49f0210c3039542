// The sessions that the benchmark's client opens, in several ways. Each calls `onBytes` with the number of bytes that
// have arrived. `sizeOf` returns how many bytes it counts for a frame.
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { connectTerminal } from 'terminal-upstream'
import { WebSocket } from 'ws'

const BLOCK_BYTES = 64 * 1024
const AUTH = JSON.stringify({ type: 'auth', token: '' })

/** Ways to open a session. All resolve when the shell has printed its prompt. */
export const openers = {
  ws: (url) => openWs(url),

  raw: openRaw,

  /** As most people write it, in a quarter of an hour. */
  async fetch(url) {
    const sessions = new URL('/api/terminals', httpOf(url))
    const response = await fetch(sessions, { method: 'POST' })
    const { id } = await response.json()
    const session = await openWs(new URL(`/api/terminals/${id}`, url), AUTH)
    const { close } = session
    session.close = async () => {
      await close()
      const answer = await fetch(`${sessions.href}/${id}`, { method: 'DELETE' })
      await answer.text()
    }
    return session
  },

  iterate: (url) =>
    openTerminal(url, async (terminal, session) => {
      for await (const chunk of terminal) session.onBytes(chunk.length)
    }),

  listen: (url) =>
    openTerminal(url, (terminal, session) => {
      terminal.onData((chunk) => session.onBytes(chunk.length))
    }),
}

const httpOf = (url) => new URL(url.replace('ws:', 'http:'))

function openWs(url, firstMessage) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    const session = {
      onBytes: () => resolve(session),
      sizeOf: (frame) => frame,
      send: (bytes) => socket.send(bytes),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      close() {
        const closed = new Promise((ended) => socket.once('close', ended))
        socket.close()
        return closed
      },
    }
    if (firstMessage !== undefined) socket.on('open', () => socket.send(firstMessage))
    socket.on('message', (data) => session.onBytes(data.length))
    socket.on('error', reject)
    socket.on('close', (code) => reject(new Error(`Closed with ${code}`)))
  })
}

async function openTerminal(url, read) {
  const terminal = await connectTerminal({ base: httpOf(url).origin, userId: 'ada' })
  const session = {
    onBytes() {},
    sizeOf: (frame) => frame,
    send: (bytes) => void terminal.write(bytes),
    close: () => terminal.close(),
  }
  void read(terminal, session)
  return session
}

/** Opens a session that counts bytes and parses no frames, so that it is faster than every relay. */
function openRaw(url) {
  const { hostname, port, pathname } = new URL(url)
  return new Promise((resolve, reject) => {
    let onData = readHandshake
    let head = ''
    const onread = { buffer: Buffer.alloc(BLOCK_BYTES), callback: (count, buffer) => onData(count, buffer) }
    const socket = net.connect({ host: hostname, port, noDelay: true, onread })
    const session = {
      onBytes: () => resolve(session),
      sizeOf: (frame) => frame + (frame > 0xffff ? 10 : 4),
      send: (bytes) => socket.write(maskedFrame(bytes, true)),
      close() {
        const closed = new Promise((ended) => socket.once('close', ended))
        socket.end(CLOSE)
        return closed
      },
      isOpen: () => !socket.destroyed,
      /** Sends the same message for this many ms, as fast as the relay reads. */
      async flood({ message, isBinary, ms }) {
        const frame = maskedFrame(Buffer.from(message), isBinary)
        const block = Buffer.concat(Array(Math.floor(BLOCK_BYTES / frame.length)).fill(frame))
        for (const end = performance.now() + ms; performance.now() < end;) {
          if (!socket.write(block)) await new Promise((drained) => socket.once('drain', drained))
        }
      },
    }

    // The prompt may come with the answer to the handshake.
    function readHandshake(count, buffer) {
      head += buffer.latin1Slice(0, count)
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 101 ')) socket.destroy(new Error(head))
      onData = (bytes) => session.onBytes(bytes)
      const rest = head.length - end - 4
      if (rest > 0) session.onBytes(rest)
    }

    socket.on('error', reject)
    socket.on('close', () => reject(new Error('The connection has ended')))
    socket.write(
      [
        `GET ${pathname} HTTP/1.1`,
        `Host: ${hostname}:${port}`,
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        'Sec-WebSocket-Version: 13',
        '\r\n',
      ].join('\r\n'),
    )
  })
}

const CLOSE = Buffer.from([0x88, 0x80, 0, 0, 0, 0])

/**
 * Returns a frame of fewer than 126 bytes (RFC 6455, section 5.2). Its mask is 0, which leaves the bytes as they are.
 */
function maskedFrame(bytes, isBinary) {
  return Buffer.concat([Buffer.from([isBinary ? 0x82 : 0x81, 0x80 | bytes.length, 0, 0, 0, 0]), bytes])
}
