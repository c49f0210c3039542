// The client of the benchmark, which takes the measurements.
import { attachInLoops, print, watch } from './attackers.mjs'
import { openers } from './client-sessions.mjs'
import { cpuSeconds } from './numbers.mjs'
import { answerCalls } from './processes.mjs'

// Sessions that are opened at the same time.
const AT_ONCE = 50
const KEY = Buffer.from('a')

// The open sessions. `connect` adds to them, `disconnect` closes them all.
let sessions = []
// The bytes that `readOn` has read.
let counted = 0

/** Sends a key. Resolves when its echo arrives. */
function type(session) {
  return new Promise((resolve) => {
    session.onBytes = resolve
    session.send(KEY)
  })
}

/** Makes the shell send `bytes` in frames of size `frame`, or send without end if `bytes` is missing. */
function startFlood(session, flood) {
  session.send(Buffer.concat([Buffer.from([0]), Buffer.from(JSON.stringify(flood))]))
}

const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** Types until it has `times` samples, or `within` ms have passed. Resolves with the µs from each key to its echo. */
async function sampleEchoes(session, { times, warmUp, pause = 0, within = Infinity }) {
  const samples = []
  const end = performance.now() + within
  while (samples.length < warmUp + times && (samples.length <= warmUp || performance.now() < end)) {
    if (pause > 0) await pass(pause * 2 * Math.random())
    const start = process.hrtime.bigint()
    await type(session)
    samples.push(Number(process.hrtime.bigint() - start) / 1000)
  }
  return samples.slice(warmUp)
}

function percentiles(samples) {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { p50: at(0.5), p99: at(0.99) }
}

answerCalls({
  cpu: cpuSeconds,

  async connect({ url, count = 1, kind = 'ws' }) {
    for (let left = count; left > 0; left -= AT_ONCE) {
      const opening = Array.from({ length: Math.min(left, AT_ONCE) }, () => openers[kind](url))
      sessions.push(...(await Promise.all(opening)))
    }
  },

  async disconnect() {
    const closing = sessions
    sessions = []
    await Promise.all(closing.map((session) => session.close()))
  },

  /** Opens sessions one after the other. Resolves with the µs that it takes. */
  async attach({ url, kind, times }) {
    const samples = []
    while (samples.length < times) {
      const start = performance.now()
      const session = await openers[kind](url)
      samples.push((performance.now() - start) * 1000)
      await session.close()
    }
    return percentiles(samples)
  },

  /** Resolves with the seconds that the first session takes to read `bytes`. */
  read: ({ frame, bytes }) =>
    new Promise((resolve) => {
      const [session] = sessions
      const start = performance.now()
      let left = (bytes / frame) * session.sizeOf(frame)
      session.onBytes = (count) => {
        left -= count
        if (left <= 0) resolve((performance.now() - start) / 1000)
      }
      startFlood(session, { frame, bytes })
    }),

  /** Reads from the first session without end. */
  readOn({ frame }) {
    const [session] = sessions
    session.onBytes = (count) => (counted += count)
    startFlood(session, { frame })
  },

  /** Returns the bytes that `readOn` has read, and when that was. */
  counted: () => ({ bytes: counted, seconds: performance.now() / 1000 }),

  /** Starts to send the same message again and again, in the first session. */
  floodInput(flood) {
    const [session] = sessions
    session.onBytes = () => {}
    void session.flood(flood)
  },

  attachInLoops,

  print,

  watch,

  /** Throws when the session that floods has ended. */
  assertOpen() {
    if (!sessions[0].isOpen()) throw new Error('The session that floods has ended')
  },

  /**
   * Resolves with the µs from a key to its echo in the first sessions, as many as there are `typists`, which all type
   * at the same time. `times` and `warmUp` are keys of each typist, with `pause` ms between keys on average.
   */
  async echo({ typists = 1, ...keys }) {
    const samples = await Promise.all(sessions.slice(0, typists).map((session) => sampleEchoes(session, keys)))
    return percentiles(samples.flat())
  },

  /** Stops reading. */
  sleep() {
    for (const session of sessions) session.pause()
  },

  /** Stops reading right before a flood. */
  stall({ frame, bytes }) {
    const [session] = sessions
    session.pause()
    startFlood(session, { frame, bytes })
  },

  /** Continues to read. Resolves with whether the shell of each session still answers. */
  wake: () =>
    Promise.all(
      sessions.map((session) => {
        session.resume()
        return Promise.race([type(session).then(() => true), pass(3_000).then(() => false)])
      }),
    ),
})
