// Starts the processes that a subject needs, and measures in turns.
import { shuffled } from './numbers.mjs'
import { start } from './processes.mjs'
import { rounds, sleep } from './settings.mjs'

/** The relays that most subjects compare. */
export const allNames = ['direct', 'hand', 'stream', 'httpxy', 'http-proxy-3', 'tcp', 'ours', 'gateway']
const relayNames = allNames.filter((name) => name !== 'direct')
/** The relays that have goals. */
export const rivals = ['hand', 'ours']

// The rounds of a measurement that needs new processes, at most.
const MOST_FRESH_ROUNDS = 3

/**
 * ms until new sessions are idle: proxyTerminal sends its last request for the session after 16 s, and fetch keeps that
 * connection for 4 s.
 */
export const SETTLING_MS = 22_000

/** Starts an upstream with the named relays in front of it. All of them end with this process at the latest. */
export async function startUpstream(names, options) {
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

export const emptyRows = (names) => Object.fromEntries(names.map((name) => [name, []]))

/**
 * Measures all relays in turns, in another order each round, in processes that stay. So slow moments of the machine,
 * and the state of the compiler, affect all relays alike. Each relay has `crowd` other sessions.
 */
export async function inTurns({ names = allNames, upstream = {}, crowd = 0 }, measure) {
  const { relays, urls, stop } = await startUpstream(names, upstream)
  const [client, neighbour] = [await start('client.mjs'), await start('client.mjs')]
  if (crowd > 0) {
    for (const url of Object.values(urls)) await neighbour.call('connect', { url, count: crowd })
    await sleep(SETTLING_MS)
  }
  const rows = emptyRows(names)
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(names)) {
      rows[name].push(await measure({ url: urls[name], relay: relays[name], client, neighbour }))
    }
  }
  await Promise.all([stop(), client.stop(), neighbour.stop()])
  return rows
}

/**
 * Measures the memory of each relay in new processes, because a process does not always return free memory. `begin`
 * resolves with a function that finishes the measurement. It is called after all measurements of the round have begun.
 * Only the relays that have goals are measured in more than one round.
 */
export async function perRelay(begin) {
  const rows = emptyRows(relayNames)
  for (let round = 0; round < Math.min(rounds, MOST_FRESH_ROUNDS); round += 1) {
    const begun = []
    for (const name of shuffled(round === 0 ? relayNames : rivals)) {
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
