// `npm run bench` compares proxyTerminal with the alternatives. It measures all of them in the same run, in turns. The
// ratios are more reliable than the figures.
//
//   npm run bench -- [--rounds 7] [--only bulk,echo-1]
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { median, shuffled } from './numbers.mjs'
import { start } from './processes.mjs'

const { values: settings } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, only: { type: 'string', default: '' } },
})
const rounds = Number(settings.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number from 1')

const KIB = 1024
const MIB = 1024 * KIB
const MAX_BUFFERED = MIB
// ms until new sessions are idle: proxyTerminal sends its last request for the session after 16 s, and fetch keeps that
// connection for 4 s.
const SETTLING = 22_000

const LABELS = {
  direct: 'no relay',
  hand: 'hand-written `ws` relay',
  stream: '`createWebSocketStream`',
  httpxy: '`httpxy` *',
  'http-proxy-3': '`http-proxy-3` *',
  tcp: 'raw TCP relay *',
  ours: '**`proxyTerminal`**',
}
const allNames = Object.keys(LABELS)
const relayNames = allNames.filter((name) => name !== 'direct')

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// ---- the parts -------------------------------------------------------------------------------------------------------

/** Starts an upstream with the named relays in front of it. All of them end with this process at the latest. */
async function startUpstream(names, options) {
  const upstream = await start('upstream.mjs', options)
  const upstreamPort = await upstream.call('port')
  const setup = { upstream, relays: {}, urls: {} }
  for (const name of names) {
    if (name !== 'direct') setup.relays[name] = await start('relay.mjs', { relay: name, upstreamPort })
    const port = await setup.relays[name]?.call('port')
    setup.urls[name] = `ws://127.0.0.1:${port ?? upstreamPort}/api/terminals/bench`
  }
  const stop = () => Promise.all([upstream, ...Object.values(setup.relays)].map((child) => child.stop()))
  return { ...setup, stop }
}

/**
 * Measures all relays in turns, in another order each round, in processes that stay. So slow moments of the machine, and
 * the state of the compiler, affect all relays alike.
 */
async function inTurns(options, measure, crowd = 0) {
  const { relays, urls, stop } = await startUpstream(allNames, options)
  const [client, neighbour] = [await start('client.mjs'), await start('client.mjs')]
  if (crowd > 0) {
    for (const url of Object.values(urls)) await neighbour.call('connect', { url, count: crowd })
    await sleep(SETTLING)
  }
  const rows = emptyRows(allNames)
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(allNames)) {
      rows[name].push(await measure({ url: urls[name], relay: relays[name], client, neighbour }))
    }
  }
  await Promise.all([stop(), client.stop(), neighbour.stop()])
  return rows
}

const emptyRows = (names) => Object.fromEntries(names.map((name) => [name, []]))

// ---- the subjects ----------------------------------------------------------------------------------------------------

const bulk = (frame, options) =>
  inTurns(options, async ({ url, relay, client }) => {
    await client.call('connect', { url })
    const warmUp = 8 * MIB
    const pace = warmUp / (await client.call('read', { frame, bytes: warmUp }))
    // Measures for about the same time, because some relays are thirty times as fast as others.
    const bytes = Math.ceil((pace * 0.6) / MIB) * MIB
    const before = await relay?.call('cpu')
    const seconds = await client.call('read', { frame, bytes })
    const cpu = (await relay?.call('cpu')) - before
    await client.call('disconnect')
    return { rate: bytes / seconds / 1e6, cpu: cpu / (bytes / 1e9) }
  })

const echo = (sessions, options) =>
  inTurns(
    options,
    async ({ url, client }) => {
      await client.call('connect', { url })
      const result = await client.call('echo', { times: 2_000, warmUp: 300 })
      await client.call('disconnect')
      return result
    },
    sessions - 1,
  )

const echoBesideFlood = () =>
  inTurns({}, async ({ url, client, neighbour }) => {
    await neighbour.call('connect', { url })
    await client.call('connect', { url })
    await neighbour.call('readOn', { frame: 4 * KIB })
    // At random moments: a key right after an echo would always meet the flood at the same point.
    const result = await client.call('echo', { times: 2_000, warmUp: 10, pause: 3, within: 1_000 })
    await neighbour.call('disconnect')
    await client.call('disconnect')
    return result
  })

/**
 * Measures the memory of each relay in new processes, because a process does not always return free memory. `begin`
 * resolves with a function that finishes the measurement. It is called after all measurements have begun.
 */
async function perRelay(begin) {
  const rows = emptyRows(relayNames)
  for (let round = 0; round < Math.min(rounds, 3); round += 1) {
    const begun = []
    for (const name of shuffled(relayNames)) {
      const { upstream, relays, urls, stop } = await startUpstream([name])
      const client = await start('client.mjs')
      const finish = await begin({ url: urls[name], relay: relays[name], upstream, client })
      begun.push({ name, finish, stop: () => Promise.all([stop(), client.stop()]) })
    }
    for (const { name, finish, stop } of begun) {
      rows[name].push(await finish())
      await stop()
    }
  }
  return rows
}

const growth = (before, after, unit) => ({
  resident: (after.resident - before.resident) / unit,
  held: (after.held - before.held) / unit,
})

const idle = () =>
  perRelay(async ({ url, relay, client }) => {
    const count = 2_000
    // The first session pays for the memory that all sessions share.
    await client.call('connect', { url })
    const before = await relay.call('memory')
    await client.call('connect', { url, count: count - 1 })
    const idleAt = Date.now() + SETTLING
    return async () => {
      await sleep(idleAt - Date.now())
      const connections = await relay.call('connections')
      if (connections !== count) throw new Error(`the relay has ${connections} connections for ${count} sessions`)
      return growth(before, await relay.call('memory'), count * KIB)
    }
  })

const stalled = () =>
  perRelay(async ({ url, relay, upstream, client }) => {
    const frame = 4 * KIB
    const bytes = 500 * MIB
    await client.call('connect', { url })
    await client.call('read', { frame, bytes: 64 * MIB })
    const before = await relay.call('memory')
    await client.call('stall', { frame, bytes })
    let pushed = 0
    for (let since = Date.now(); pushed < bytes && Date.now() - since < 2_000; await sleep(100)) {
      const now = await upstream.call('pushed')
      if (now !== pushed) since = Date.now()
      pushed = now
    }
    return async () => growth(before, await relay.call('memory'), MIB)
  })

async function sleeping() {
  const { urls, stop } = await startUpstream(allNames, { pings: true })
  const client = await start('client.mjs')
  for (const name of allNames) await client.call('connect', { url: urls[name] })
  await client.call('sleep')
  await sleep(60_000)
  const alive = await client.call('wake')
  await Promise.all([stop(), client.stop()])
  return Object.fromEntries(allNames.map((name, index) => [name, [{ alive: Number(alive[index]) }]]))
}

const digits = (count) => (number) => (Number.isNaN(number) ? '–' : number.toFixed(count))
const bulkColumns = [
  { key: 'rate', title: 'MB/s', show: digits(0), against: ['hand', 'direct'] },
  { key: 'cpu', title: "relay's CPU s per GB", show: digits(2), against: [] },
]
const echoColumns = [
  { key: 'p50', title: 'p50, µs', show: digits(0), against: ['hand', 'direct'] },
  { key: 'p99', title: 'p99, µs', show: digits(0), against: ['hand', 'direct'] },
]
const memoryColumns = (unit) => [
  { key: 'resident', title: `resident, ${unit}`, show: digits(1), against: ['hand'] },
  { key: 'held', title: `heap and buffers, ${unit}`, show: digits(1), against: ['hand'] },
]

const subjects = {
  'bulk-4': { title: 'Bulk output, frames of 4 KiB', columns: bulkColumns, run: () => bulk(4 * KIB) },
  'bulk-64': { title: 'Bulk output, frames of 64 KiB', columns: bulkColumns, run: () => bulk(64 * KIB) },
  'echo-1': { title: "One keystroke's echo, 1 session", columns: echoColumns, run: () => echo(1) },
  'echo-200': { title: "One keystroke's echo, 200 sessions", columns: echoColumns, run: () => echo(200) },
  beside: {
    title: "One keystroke's echo while another session of the same relay floods",
    columns: echoColumns,
    run: echoBesideFlood,
  },
  'compressed-bulk': {
    title: 'Bulk output, frames of 4 KiB, from an upstream that offers compression',
    columns: bulkColumns,
    run: () => bulk(4 * KIB, { compression: true }),
  },
  'compressed-echo': {
    title: "One keystroke's echo, from an upstream that offers compression",
    columns: echoColumns,
    run: () => echo(1, { compression: true }),
  },
  idle: { title: 'Memory per idle session, at 2 000 sessions', columns: memoryColumns('KiB'), run: idle },
  stalled: {
    title: 'Memory for a client that has stopped reading 500 MiB',
    columns: memoryColumns('MiB'),
    run: stalled,
  },
  sleeping: {
    title: 'A client that sleeps for 60 s, beside an upstream that pings every 20 s and waits for 20 s',
    columns: [{ key: 'alive', title: 'its shell', show: (alive) => (alive ? 'lives' : 'dead'), against: [] }],
    run: sleeping,
  },
}

// ---- the report ------------------------------------------------------------------------------------------------------

const results = {}
const middle = (subject, key, name) => median(results[subject][name].map((row) => row[key]))

/** Returns the median of the ratios within a round, because a machine that is slow for a while is slow for both. */
function ratio(subject, key, name, other) {
  const others = results[subject][other]
  return median(results[subject][name].map((row, round) => row[key] / others[round][key]))
}

function table({ title, columns }, subject) {
  const names = Object.keys(results[subject])
  const head = columns.flatMap((column) => [column.title, ...column.against.map((other) => `× ${LABELS[other]}`)])
  const rows = names.map((name) => [
    LABELS[name],
    ...columns.flatMap(({ key, show, against }) => [
      show(middle(subject, key, name)),
      ...against.filter((other) => results[subject][other]).map((other) => ratio(subject, key, name, other).toFixed(2)),
    ]),
  ])
  const lines = [['', ...head], ['---', ...head.map(() => '--:')], ...rows]
  return `### ${title}\n\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
}

const times = (subject, key, other) => () => ratio(subject, key, 'ours', other)
const goals = [
  ['bulk-4', 'bulk at 4 KiB, × hand-written', 'at least', 1.6, times('bulk-4', 'rate', 'hand')],
  ['bulk-4', 'bulk at 4 KiB, × httpxy', 'at least', 0.65, times('bulk-4', 'rate', 'httpxy')],
  [
    'compressed-bulk',
    'bulk, compression offered, × hand-written',
    'at least',
    8,
    times('compressed-bulk', 'rate', 'hand'),
  ],
  ['beside', 'keystroke beside a flood, p50, × no relay', 'at most', 6, times('beside', 'p50', 'direct')],
  ['echo-1', 'keystroke, 1 session, p99, × hand-written', 'at most', 1.1, times('echo-1', 'p99', 'hand')],
  ['echo-200', 'keystroke, 200 sessions, p99, × hand-written', 'at most', 1.1, times('echo-200', 'p99', 'hand')],
  ['idle', 'memory per idle session, × hand-written', 'at most', 1, times('idle', 'resident', 'hand')],
  [
    'stalled',
    'memory for a stalled client, MiB',
    'at most',
    (MAX_BUFFERED + 2 * MIB) / MIB,
    () => middle('stalled', 'resident', 'ours'),
  ],
  ['sleeping', "sleeping client's shells that live", 'at least', 1, () => middle('sleeping', 'alive', 'ours')],
]

function verdict([, text, relation, bound, measure]) {
  const value = measure()
  const met = relation === 'at least' ? value >= bound : value <= bound
  return `${met ? '✓' : '✗'} ${text}: ${value.toFixed(2)} (${relation} ${bound})`
}

function versionOf(name) {
  const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return `${name} ${JSON.parse(readFileSync(manifest, 'utf8')).version}`
}

const wanted = settings.only.split(',').filter(Boolean)
const isWanted = (subject) =>
  wanted.length === 0 || wanted.some((name) => subject === name || subject.startsWith(`${name}-`))
const chosen = Object.keys(subjects).filter(isWanted)
if (chosen.length === 0) throw new RangeError(`--only must name some of ${Object.keys(subjects).join(', ')}`)

const versions = ['ws', 'httpxy', 'http-proxy-3'].map(versionOf).join(', ')
console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${versions}`)
console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, medians of ${rounds} rounds\n`)
for (const subject of chosen) {
  results[subject] = await subjects[subject].run()
  console.log(table(subjects[subject], subject))
}
console.log('\\* only pipe bytes: they cannot authenticate, answer pings, or share a turn fairly between sessions\n')
for (const goal of goals.filter(([subject]) => chosen.includes(subject))) console.log(verdict(goal))
