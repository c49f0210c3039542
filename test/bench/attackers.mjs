// What one user of a gateway, or those who look on, can do to the others.
import { once } from 'node:events'
import { WebSocket } from 'ws'

const AUTH = JSON.stringify({ type: 'auth', token: '' })
const FRAME_BYTES = 4096

async function attachTo(url) {
  const socket = new WebSocket(url)
  socket.on('error', () => {})
  await once(socket, 'open')
  socket.send(AUTH)
  return socket
}

/**
 * Creates `count` sessions that each print `unit` again and again, `bytes` in all, 100 KiB in each tenth of a second.
 * Resolves when they have, and leaves them open.
 */
export async function print({ url, unit, bytes, count }) {
  const sessions = new URL('/api/terminals', url.replace('ws:', 'http:'))
  const block = Buffer.from(unit.repeat(Math.ceil(FRAME_BYTES / unit.length)).slice(0, FRAME_BYTES), 'latin1')
  const printing = Array.from({ length: count }, async () => {
    const { id } = await (await fetch(sessions, { method: 'POST' })).json()
    const printer = await attachTo(new URL(`/api/terminals/${id}`, url))
    let left = bytes
    const printed = new Promise((resolve) => {
      printer.on('message', ({ length }) => (left -= length) <= 0 && resolve())
    })
    for (let sent = 0; sent < bytes + FRAME_BYTES; sent += FRAME_BYTES) {
      printer.send(block)
      if (sent % (25 * FRAME_BYTES) === 0) await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await printed
  })
  await Promise.all(printing)
}

/**
 * Creates a session that prints `unit` again and again, `bytes` in all, and attaches to it without end, in so many
 * loops at the same time. Resolves when these have begun.
 */
export async function attachInLoops({ url, unit, bytes, loops }) {
  const sessions = new URL('/api/terminals', url.replace('ws:', 'http:'))
  const { id } = await (await fetch(sessions, { method: 'POST' })).json()
  const target = new URL(`/api/terminals/${id}`, url)
  const printer = await attachTo(target)
  // The upstream echoes what is typed. Each frame begins with a line, so that the tail begins there.
  const block = Buffer.from(`\n${unit.repeat(Math.ceil(FRAME_BYTES / unit.length))}`.slice(0, FRAME_BYTES), 'latin1')
  let left = bytes
  const printed = new Promise((resolve) => {
    printer.on('message', ({ length }) => (left -= length) <= 0 && resolve())
  })
  for (let sent = 0; sent < bytes + FRAME_BYTES; sent += FRAME_BYTES) printer.send(block)
  await printed
  for (let loop = 0; loop < loops; loop += 1) void attachAgain(target)
}

/**
 * Looks on at the first session of a gateway, with so many clients, and reads what they are sent; or nothing, if they
 * are `asleep`. Resolves when all have been told that they do.
 */
export async function watch({ url, count, asleep }) {
  const sessions = new URL('/api/terminals', url.replace('ws:', 'http:'))
  const [{ id }] = await (await fetch(sessions)).json()
  for (let index = 0; index < count; index += 1) {
    const socket = new WebSocket(new URL(`/api/terminals/${id}`, url))
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'auth', token: '', offset: null, watch: true }))
    await once(socket, 'message')
    if (asleep) socket.pause()
  }
}

async function attachAgain(target) {
  for (;;) {
    const socket = await attachTo(target)
    // The replay has come, or another loop has taken over.
    await Promise.race(['message', 'close'].map((event) => once(socket, event)))
    socket.terminate()
  }
}
