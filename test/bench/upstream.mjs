// A terminal server that is as fast as possible: it echoes input, and floods on command.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { answerCalls, ownOptions } from './processes.mjs'

const { compression = false, pings = false } = ownOptions()

// Bytes in flight: enough to keep client and relay busy. Bytes per turn: so few that a keystroke beside a flood waits
// for the relay, not for this server.
const WINDOW_BYTES = 1024 * 1024
const BLOCK_BYTES = 64 * 1024

const PROMPT = Buffer.from('$ ')
const COMMAND = 0

// The defaults of uvicorn.
const PING_INTERVAL_MS = 20_000
const PING_TIMEOUT_MS = 20_000

// Bytes that the last flood has sent so far.
let pushed = 0

const server = createServer((request, response) => {
  const session = { id: randomUUID(), created_at: new Date().toISOString(), pid: 1 }
  // PROTOCOL 2.17: an old server would be sent no more input than it repeats.
  const isOutput = request.url.includes('/user/output')
  const body = isOutput ? { output: '' } : request.method === 'DELETE' ? { status: 'deleted' } : session
  response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
})

// uvicorn compresses small messages too. ws does not by default.
const wss = new WebSocketServer({ server, perMessageDeflate: compression && { threshold: 0 } })
wss.on('connection', (socket, request) => {
  // Text messages carry credentials and sizes, which this server does not need.
  socket.on('message', (data, isBinary) => {
    if (!isBinary) return
    if (data[0] === COMMAND) flood(socket, request.socket, JSON.parse(data.subarray(1)))
    else socket.send(data)
  })
  socket.on('error', () => {})
  socket.send(PROMPT)
  if (pings) keepAlive(socket)
})

/** Sends `bytes` in frames of size `frame`, or sends without end if `bytes` is missing. */
function flood(socket, tcp, { frame, bytes }) {
  const text = logOf(frame)
  const frames = BLOCK_BYTES / frame
  // The bytes that ws would write, built once: otherwise this server, and not the relay, would limit the speed.
  const block = Buffer.concat(Array(frames).fill(Buffer.concat([headerOf(frame), text])))
  let left = bytes ?? Infinity
  // Whether too much is in flight, so that `sent` must start the next turn.
  let waiting = false

  function sent() {
    if (waiting) setImmediate(turn)
    waiting = false
  }

  function turn() {
    if (left <= 0 || socket.readyState !== socket.OPEN) return
    waiting = socket.bufferedAmount >= WINDOW_BYTES
    if (waiting) return
    if (!compression || !socket.extensions) tcp.write(block, sent)
    else for (let index = 0; index < frames; index += 1) socket.send(text, sent)
    left -= BLOCK_BYTES
    pushed += BLOCK_BYTES
    setImmediate(turn)
  }

  pushed = 0
  turn()
}

/** Returns the header of an unmasked binary frame (RFC 6455, section 5.2). */
function headerOf(length) {
  if (length > 0xffff) return Buffer.from([0x82, 127, 0, 0, 0, 0, length >>> 24, length >>> 16, length >>> 8, length])
  return Buffer.from([0x82, 126, length >>> 8, length])
}

/** Returns text like the log of a build, which compresses about as well. */
function logOf(length) {
  let text = ''
  for (let line = 1; text.length < length; line += 1) {
    const hash = Math.imul(line, 2_654_435_761) >>> 0
    text += `\u001b[32m${line}\u001b[0m compiled src/${hash.toString(36)}.ts in ${hash % 1000} ms\r\n`
  }
  return Buffer.from(text.slice(0, length))
}

function keepAlive(socket) {
  let deadline
  const timer = setInterval(() => {
    socket.ping()
    deadline ??= setTimeout(() => socket.close(1011, 'keepalive ping timeout'), PING_TIMEOUT_MS)
  }, PING_INTERVAL_MS)
  socket.on('pong', () => {
    clearTimeout(deadline)
    deadline = undefined
  })
  socket.on('close', () => {
    clearTimeout(deadline)
    clearInterval(timer)
  })
}

server.listen(0, '127.0.0.1', () => {
  answerCalls({ port: () => server.address().port, pushed: () => pushed })
})
