// What it costs that a gateway draws whole screens, beside one that does not.
import { shuffled } from './numbers.mjs'
import { start } from './processes.mjs'
import { emptyRows, startUpstream } from './setup.mjs'
import { KIB, MIB, rounds, sleep } from './settings.mjs'

const NAMES = ['gateway', 'screen']

/** Sessions that print more than is kept, slowly enough to be drawn. */
const BUSY = 20
const PRINTED_BYTES = 512 * KIB

/** What takes a terminal long, for a few bytes. */
const HOSTILE = [
  '\x1b[H\x1b[999L',
  'a\x1b[65535b',
  '\x1b[99999S',
  '\x1bc',
  '\x1b[2J',
  '\x1b[99999I',
  '\x1b]0;'.padEnd(4_096, 'a'),
]

/** Measures an output flood, the memory of a busy session, and a key beside hostile output, with and without screens. */
export async function screens() {
  const rows = emptyRows(NAMES)
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(NAMES)) {
      rows[name].push({ flood: await flood(name), held: await held(name), hostile: await hostile(name) })
    }
  }
  return rows
}

async function flood(name) {
  const { urls, stop } = await startUpstream([name])
  const client = await start('client.mjs')
  await client.call('connect', { url: urls[name], kind: 'raw' })
  await client.call('read', { frame: 4 * KIB, bytes: 64 * MIB })
  const seconds = await client.call('read', { frame: 4 * KIB, bytes: 512 * MIB })
  await Promise.all([stop(), client.stop()])
  return (512 * MIB) / seconds / 1e6
}

/** Resolves with the KiB that each session holds after it has printed. */
async function held(name) {
  const { relays, urls, stop } = await startUpstream([name])
  const client = await start('client.mjs')
  const print = async (count) => {
    await client.call('print', {
      url: urls[name],
      unit: 'a \x1b[32mline\x1b[0m of a log\r\n',
      bytes: PRINTED_BYTES,
      count,
    })
    await sleep(2_000)
  }
  // The first one pays for what all share.
  await print(1)
  const before = await relays[name].call('memory')
  await print(BUSY)
  const after = await relays[name].call('memory')
  await Promise.all([stop(), client.stop()])
  return (after.held - before.held) / BUSY / KIB
}

/** Resolves with the ms that 99 of 100 echoes take at most, beside the worst output. */
async function hostile(name) {
  const delays = []
  for (const unit of HOSTILE) {
    const { urls, stop } = await startUpstream([name])
    const [client, neighbour] = [await start('client.mjs'), await start('client.mjs')]
    await client.call('connect', { url: urls[name] })
    await client.call('echo', { times: 1, warmUp: 300 })
    // It ends before all is printed, and with it the call.
    neighbour.call('print', { url: urls[name], unit, bytes: 4 * MIB, count: 1 }).catch(() => {})
    const { p99 } = await client.call('echo', { times: 1_000, warmUp: 0, pause: 1, within: 2_000 })
    delays.push(p99 / 1000)
    await Promise.all([stop(), client.stop(), neighbour.stop()])
  }
  return Math.max(...delays)
}
