// The subjects about opening sessions, and about many that are open.
import { shuffled } from './numbers.mjs'
import { start } from './processes.mjs'
import { emptyRows, inTurns, rivals, SETTLING_MS, startUpstream } from './setup.mjs'
import { fitting, KIB, rounds, sleep } from './settings.mjs'
import { measureReading } from './traffic.mjs'

/** The sessions that {@link attach} opens. */
export const ATTACHES = 1_000
const WARM_UP = 200

export const attach = () =>
  inTurns({ names: ['hand', 'hand-post', 'ours'] }, async ({ url, relay, client }) => {
    await client.call('connect', { url, count: WARM_UP })
    await closeAll(client)
    const before = await relay.call('cpu')
    const began = performance.now()
    await client.call('connect', { url, count: ATTACHES })
    const seconds = (performance.now() - began) / 1000
    const cpu = (await relay.call('cpu')) - before
    await closeAll(client)
    return { rate: ATTACHES / seconds, cpu: (cpu * 1e6) / ATTACHES }
  })

async function closeAll(client) {
  await client.call('disconnect')
  // Then proxyTerminal deletes its sessions, which must not disturb the next measurement.
  await sleep(500)
}

/**
 * The sessions of {@link crowd}, before it grows and after. A relay has two connections for each, as has the upstream.
 */
export const crowdSizes = [100, fitting(5_000, 2)]
/** The sessions among them that type. */
export const TYPISTS = 50

/** Measures the keystrokes of some sessions, with few and with many sessions that are open. */
export async function crowd() {
  const { urls, stop } = await startUpstream(rivals)
  const typists = {}
  for (const name of rivals) typists[name] = await start('client.mjs')
  const others = await start('client.mjs')
  const rows = emptyRows(rivals)
  let open = 0
  for (const size of crowdSizes) {
    for (const name of rivals) {
      const client = open === 0 ? typists[name] : others
      await client.call('connect', { url: urls[name], count: size - open })
    }
    if (open > 0) await sleep(SETTLING_MS)
    open = size
    const place = crowdSizes.indexOf(size)
    const measure = (name) => typists[name].call('echo', { typists: TYPISTS, times: 16, warmUp: 2, pause: 40 })
    // Until the code is compiled, keystrokes are slower.
    for (const name of rivals) await measure(name)
    for (let round = 0; round < rounds; round += 1) {
      for (const name of shuffled(rivals)) {
        const { p50, p99 } = await measure(name)
        rows[name][round] = { ...rows[name][round], [`p50 ${place}`]: p50, [`p99 ${place}`]: p99 }
      }
    }
  }
  await Promise.all([stop(), others.stop(), ...rivals.map((name) => typists[name].stop())])
  return rows
}

const CLIENTS = ['fetch', 'iterate', 'listen']
// Sessions that a client reads from in each round, because the CPU differs from session to session with the garbage.
const READINGS = 4

/** Compares clients, without a relay: each attaches and reads in a process of its own. */
export async function connect() {
  const { urls, stop } = await startUpstream(['direct'])
  const url = urls.direct
  const clients = {}
  const rows = emptyRows(CLIENTS)
  for (const kind of CLIENTS) {
    clients[kind] = await start('client.mjs')
    await clients[kind].call('attach', { url, kind, times: WARM_UP })
    await readOnce(clients[kind], url, kind)
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const kind of shuffled(CLIENTS)) {
      const { p50 } = await clients[kind].call('attach', { url, kind, times: 200 })
      rows[kind].push({ attach: p50 / 1000, rate: 0, cpu: 0 })
    }
    // The readings of all clients take turns too.
    for (let reading = 0; reading < READINGS; reading += 1) {
      for (const kind of shuffled(CLIENTS)) {
        const { rate, cpu } = await readOnce(clients[kind], url, kind)
        rows[kind][round].rate += rate / READINGS
        rows[kind][round].cpu += cpu / READINGS
      }
    }
  }
  await Promise.all([stop(), ...CLIENTS.map((kind) => clients[kind].stop())])
  return rows
}

async function readOnce(client, url, kind) {
  await client.call('connect', { url, kind })
  const result = await measureReading(client, 4 * KIB, client)
  await client.call('disconnect')
  return result
}
