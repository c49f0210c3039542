// The subjects about the memory of a relay, and about a client that sleeps.
import { start } from './processes.mjs'
import { allNames, perRelay, startUpstream } from './setup.mjs'
import { fitting, KIB, MIB, sleep } from './settings.mjs'

const growth = (before, after, unit) => ({
  resident: (after.resident - before.resident) / unit,
  held: (after.held - before.held) / unit,
})

// proxyTerminal sends its last request for a session after 16 s. V8 gives the memory for young objects, 32 MiB,
// back some 20 s after that.
const RESTING_MS = 45_000

/** The sessions of {@link idle}. A relay has two connections for each. */
export const idleSessions = fitting(5_000, 2)

export const idle = () =>
  perRelay(async ({ url, relay, client }) => {
    // The first session pays for the memory that all sessions share.
    await client.call('connect', { url })
    const before = await relay.call('memory')
    await client.call('connect', { url, count: idleSessions - 1 })
    const idleAt = Date.now() + RESTING_MS
    return async () => {
      await sleep(idleAt - Date.now())
      const connections = await relay.call('connections')
      if (connections !== idleSessions) {
        throw new Error(`the relay has ${connections} connections for ${idleSessions} sessions`)
      }
      return growth(before, await relay.call('memory'), idleSessions * KIB)
    }
  })

/** The sessions of {@link parked}. */
export const parkedSessions = 1_000

/** Measures sessions of a gateway whose clients have left. */
export async function parked() {
  const { relays, urls, stop } = await startUpstream(['gateway'])
  const client = await start('client.mjs')
  await client.call('connect', { url: urls.gateway })
  const before = await relays.gateway.call('memory')
  await client.call('connect', { url: urls.gateway, count: parkedSessions - 1 })
  await client.call('disconnect')
  await sleep(RESTING_MS)
  const row = growth(before, await relays.gateway.call('memory'), parkedSessions * KIB)
  await Promise.all([stop(), client.stop()])
  return { gateway: [row] }
}

export const stalled = () =>
  perRelay(async ({ url, relay, upstream, client }) => {
    const frame = 4 * KIB
    const bytes = 500 * MIB
    await client.call('connect', { url })
    await client.call('read', { frame, bytes: 64 * MIB })
    const before = await relay.call('memory')
    await client.call('stall', { frame, bytes })
    let pushed = 0
    for (let since = Date.now(); pushed < bytes && Date.now() - since < 1_000; await sleep(100)) {
      const now = await upstream.call('pushed')
      if (now !== pushed) since = Date.now()
      pushed = now
    }
    return async () => growth(before, await relay.call('memory'), MIB)
  })

export async function sleeping() {
  const { urls, stop } = await startUpstream(allNames, { pings: true })
  const client = await start('client.mjs')
  for (const name of allNames) await client.call('connect', { url: urls[name] })
  await client.call('sleep')
  await sleep(60_000)
  const alive = await client.call('wake')
  await Promise.all([stop(), client.stop()])
  return Object.fromEntries(allNames.map((name, index) => [name, [{ alive: Number(alive[index]) }]]))
}
