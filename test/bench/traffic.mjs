// The subjects about the output and the keystrokes of a session.
import { shuffled } from './numbers.mjs'
import { start } from './processes.mjs'
import { emptyRows, inTurns, rivals, startUpstream } from './setup.mjs'
import { KIB, MIB, rounds, sleep } from './settings.mjs'

// Seconds for which a session reads, about. Not a fixed number of bytes, because some relays are thirty times as fast
// as others.
const READING_S = 0.6

/**
 * Makes the first session of a client read for {@link READING_S} s, and returns the MB/s and the CPU s per GB of
 * `worker`.
 */
export async function measureReading(client, frame, worker) {
  const warmUp = 8 * MIB
  const pace = warmUp / (await client.call('read', { frame, bytes: warmUp }))
  const bytes = Math.ceil((pace * READING_S) / MIB) * MIB
  const before = await worker?.call('cpu')
  const seconds = await client.call('read', { frame, bytes })
  const cpu = (await worker?.call('cpu')) - before
  return { rate: bytes / seconds / 1e6, cpu: cpu / (bytes / 1e9) }
}

/** Measures output that a client of this kind reads. */
export const bulk = (frame, kind, upstream) =>
  inTurns({ upstream }, async ({ url, relay, client }) => {
    await client.call('connect', { url, kind })
    const result = await measureReading(client, frame, relay)
    await client.call('disconnect')
    return result
  })

export const echo = (sessions, upstream) =>
  inTurns({ upstream, crowd: sessions - 1 }, async ({ url, client }) => {
    await client.call('connect', { url })
    const result = await client.call('echo', { times: 1_000, warmUp: 300 })
    await client.call('disconnect')
    return result
  })

export const echoBesideFlood = () =>
  inTurns({}, async ({ url, client, neighbour }) => {
    await neighbour.call('connect', { url, kind: 'raw' })
    await client.call('connect', { url })
    await neighbour.call('readOn', { frame: 4 * KIB })
    const before = await neighbour.call('counted')
    // At random moments: a key right after an echo would always meet the flood at the same point.
    const result = await client.call('echo', { times: 1_000, warmUp: 10, pause: 3, within: 900 })
    const after = await neighbour.call('counted')
    await neighbour.call('disconnect')
    await client.call('disconnect')
    return { ...result, flood: (after.bytes - before.bytes) / (after.seconds - before.seconds) / 1e6 }
  })

// `{}` is the shortest text message that a terminal server accepts and ignores.
const FLOODS = {
  empty: { message: '', isBinary: true },
  byte: { message: 'x', isBinary: true },
  text: { message: '{}', isBinary: false },
}

/**
 * Measures keystrokes while another client floods the relay with input. In new processes, because a hand-written relay
 * has a backlog long after the flood.
 */
export async function echoBesideInputFlood() {
  const rows = emptyRows(rivals)
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(rivals)) {
      const row = {}
      for (const kind of shuffled(Object.keys(FLOODS))) row[kind] = await floodInput(name, FLOODS[kind])
      rows[name].push(row)
    }
  }
  return rows
}

// Output that takes long to read, or that is left out when somebody attaches.
export const CRAFTED = { C2: '\xc2', ENQ: '\x05', SGR: '\x1b[m', focus: '\x1b[?1004h', RIS: '\x1bc' }

/** Measures keystrokes while another user attaches in loops to a session that has printed crafted output. */
export async function echoBesideAttaches() {
  const rows = []
  for (let round = 0; round < rounds; round += 1) {
    const row = {}
    for (const kind of shuffled(Object.keys(CRAFTED))) row[kind] = await attachInLoops(CRAFTED[kind])
    rows.push({ ...row, worst: Math.max(...Object.values(row)) })
  }
  return { gateway: rows }
}

// Those who look on at the flood.
const WATCHERS = 10

/** Measures an output flood, and keystrokes beside it, with and without those who look on at it. */
export async function watched() {
  const rows = emptyRows(['gateway', 'watched'])
  for (let round = 0; round < rounds; round += 1) {
    const { urls, stop } = await startUpstream(['gateway'])
    const url = urls.gateway
    const [client, neighbour, watcher] = await Promise.all(['', '', ''].map(() => start('client.mjs')))
    await neighbour.call('connect', { url, kind: 'raw' })
    await client.call('connect', { url })
    await neighbour.call('readOn', { frame: 4 * KIB })
    const measure = async () => {
      const before = await neighbour.call('counted')
      const { p50 } = await client.call('echo', { times: 1_000, warmUp: 100, pause: 3, within: 1_500 })
      const after = await neighbour.call('counted')
      return { p50, flood: (after.bytes - before.bytes) / (after.seconds - before.seconds) / 1e6 }
    }
    await measure()
    rows.gateway.push(await measure())
    await watcher.call('watch', { url, count: WATCHERS })
    const row = await measure()
    await Promise.all([stop(), client.stop(), neighbour.stop(), watcher.stop()])
    rows.watched.push({ ...row, held: await heldByOne() })
  }
  return rows
}

/** Resolves with the MiB that one takes who looks on at an output flood of 500 MiB and reads nothing. */
async function heldByOne() {
  const { relays, urls, stop } = await startUpstream(['gateway'])
  const url = urls.gateway
  const [client, watcher] = [await start('client.mjs'), await start('client.mjs')]
  await client.call('connect', { url, kind: 'raw' })
  await client.call('read', { frame: 4 * KIB, bytes: 64 * MIB })
  const before = await relays.gateway.call('memory')
  await watcher.call('watch', { url, count: 1, asleep: true })
  await client.call('read', { frame: 4 * KIB, bytes: 500 * MIB })
  const after = await relays.gateway.call('memory')
  await Promise.all([stop(), client.stop(), watcher.stop()])
  return (after.held - before.held) / MIB
}

const attachInLoops = (unit) =>
  echoBeside({ name: 'gateway', within: 1_500 }, (neighbour, url) =>
    neighbour.call('attachInLoops', { url, unit, bytes: 320 * KIB, loops: 8 }),
  )

const floodInput = (name, flood) =>
  echoBeside({ name, kind: 'raw', within: 800 }, (neighbour) => neighbour.call('floodInput', { ...flood, ms: 1_000 }))

/** Measures keystrokes in new processes, while a neighbour disturbs them. Resolves with the p50 in ms. */
async function echoBeside({ name, kind, within }, disturb) {
  const { urls, stop } = await startUpstream([name])
  const url = urls[name]
  const [client, neighbour] = [await start('client.mjs'), await start('client.mjs')]
  if (kind) await neighbour.call('connect', { url, kind })
  await client.call('connect', { url })
  await client.call('echo', { times: 1, warmUp: 300 })
  await disturb(neighbour, url)
  await sleep(100)
  const { p50 } = await client.call('echo', { times: 1_000, warmUp: 0, pause: 3, within })
  if (kind) await neighbour.call('assertOpen')
  await Promise.all([stop(), client.stop(), neighbour.stop()])
  return p50 / 1000
}
