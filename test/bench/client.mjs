// The client of the benchmark, which takes the measurements.
import { WebSocket } from 'ws'
import { answerCalls } from './processes.mjs'

// Sessions that are opened at the same time.
const AT_ONCE = 50
const KEY = Buffer.from('a')

// The open sessions. `connect` adds to them, `disconnect` closes them all.
let sessions = []

/** Opens a session. Resolves when the shell has printed its prompt. */
function open(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    const session = { socket, onBytes: () => resolve(session) }
    socket.on('message', (data) => session.onBytes(data.length))
    socket.on('error', reject)
    socket.on('close', (code) => reject(new Error(`Closed with ${code}`)))
  })
}

/** Sends a key. Resolves when its echo arrives. */
function type(session, key = KEY) {
  return new Promise((resolve) => {
    session.onBytes = resolve
    session.socket.send(key)
  })
}

/** Makes the shell send `bytes` in frames of size `frame`, or send without end if `bytes` is missing. */
function startFlood({ socket }, flood) {
  socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(JSON.stringify(flood))]))
}

const percentile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]

answerCalls({
  async connect({ url, count = 1 }) {
    for (let left = count; left > 0; left -= AT_ONCE) {
      sessions.push(...(await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => open(url)))))
    }
  },

  async disconnect() {
    const closing = sessions
    sessions = []
    await Promise.all(
      closing.map(({ socket }) => {
        const closed = new Promise((resolve) => socket.once('close', resolve))
        socket.close()
        return closed
      }),
    )
  },

  /** Resolves with the seconds that the first session takes to read `bytes`. */
  read: ({ frame, bytes }) =>
    new Promise((resolve) => {
      const [session] = sessions
      const start = performance.now()
      let left = bytes
      session.onBytes = (count) => {
        left -= count
        if (left === 0) resolve((performance.now() - start) / 1000)
      }
      startFlood(session, { frame, bytes })
    }),

  /** Reads from the first session without end. */
  readOn({ frame }) {
    const [session] = sessions
    session.onBytes = () => {}
    startFlood(session, { frame })
  },

  /** Resolves with the µs from a key to its echo in the first session, with `pause` ms between keys on average. */
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

  /** Stops reading right before a flood. */
  stall({ frame, bytes }) {
    const [session] = sessions
    session.socket.pause()
    startFlood(session, { frame, bytes })
  },

  /** Continues to read. Resolves with whether the shell of each session still answers. */
  wake: () =>
    Promise.all(
      sessions.map((session) => {
        session.socket.resume()
        const timeout = new Promise((resolve) => setTimeout(resolve, 3_000, false))
        return Promise.race([type(session).then(() => true), timeout])
      }),
    ),
})
