// The user at the other end, who does the measuring.
import { WebSocket } from 'ws'
import { answer } from './processes.mjs'

const AT_ONCE = 50
const KEY = Buffer.from('a')

let sessions = []

/** Resolves when the shell has shown its prompt. */
function open(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    const session = { socket, onBytes: () => resolve(session) }
    socket.on('message', (data) => session.onBytes(data.length))
    socket.on('error', reject)
    socket.on('close', (code) => reject(new Error(`Closed with ${code}`)))
  })
}

function type(session, key = KEY) {
  return new Promise((resolve) => {
    session.onBytes = resolve
    session.socket.send(key)
  })
}

/** Has the shell push so many bytes, or never stop. */
function command({ socket }, flood) {
  socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(JSON.stringify(flood))]))
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]

answer({
  async connect({ url, count = 1 }) {
    for (let left = count; left > 0; left -= AT_ONCE) {
      sessions.push(...(await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => open(url)))))
    }
  },

  async leave() {
    const leaving = sessions
    sessions = []
    await Promise.all(
      leaving.map(({ socket }) => {
        const closed = new Promise((resolve) => socket.once('close', resolve))
        socket.close()
        return closed
      }),
    )
  },

  /** Seconds that the first session takes to read so many bytes. */
  read: ({ frame, bytes }) =>
    new Promise((resolve) => {
      const [session] = sessions
      const start = performance.now()
      let left = bytes
      session.onBytes = (count) => {
        left -= count
        if (left === 0) resolve((performance.now() - start) / 1000)
      }
      command(session, { frame, bytes })
    }),

  /** Reads all that the first session can get, until it leaves. */
  readOn({ frame }) {
    const [session] = sessions
    session.onBytes = () => {}
    command(session, { frame })
  },

  /** µs from a key to its echo in the first session, one after the other, `pause` ms apart on average. */
  async echo({ times, warmUp, pause = 0, within = Infinity }) {
    const samples = []
    const end = performance.now() + within
    while (samples.length < warmUp + times && (samples.length <= warmUp || performance.now() < end)) {
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause * 2 * Math.random()))
      const start = process.hrtime.bigint()
      await type(sessions[0])
      samples.push(Number(process.hrtime.bigint() - start) / 1000)
    }
    const sorted = samples.slice(warmUp).sort((a, b) => a - b)
    return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) }
  },

  /** Stops reading. */
  sleep() {
    for (const { socket } of sessions) socket.pause()
  },

  /** Stops reading just when it has a lot to read. */
  stall({ frame, bytes }) {
    const [session] = sessions
    session.socket.pause()
    command(session, { frame, bytes })
  },

  /** Reads on, and tells of each session whether its shell still answers. */
  wake: () =>
    Promise.all(
      sessions.map((session) => {
        session.socket.resume()
        const gone = new Promise((resolve) => setTimeout(resolve, 3_000, false))
        return Promise.race([type(session).then(() => true), gone])
      }),
    ),
})
