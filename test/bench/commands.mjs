// One command, by runCommand and by one POST that waits for its end.
import { runCommand } from '../../dist/command.js'
import { shuffled } from './numbers.mjs'
import { start } from './processes.mjs'
import { emptyRows } from './setup.mjs'
import { rounds } from './settings.mjs'

const KEY = 'sk-1'
const USER = 'ada'
const COMMANDS = { true: 'true', lines: 'seq 1300000' }
// A short command takes a few milliseconds, which differ by half.
const TIMES = { true: 9, lines: 1 }

const senders = {
  async post(base, command) {
    const headers = { Authorization: `Bearer ${KEY}`, 'X-User-Id': USER, 'Content-Type': 'application/json' }
    const request = { method: 'POST', headers, body: JSON.stringify({ command }) }
    const { status } = await (await fetch(`${base}/execute?wait=60`, request)).json()
    if (status !== 'done') throw new Error(`the command is ${status}`)
  },
  async command(base, command) {
    const { exitCode } = await runCommand({ base, key: KEY, userId: USER, command })
    if (exitCode !== 0) throw new Error(`the command has ended with ${exitCode}`)
  },
}

/** Measures how long each command takes, in ms. */
export async function commands() {
  const server = await start('command-server.mjs', { key: KEY })
  const base = await server.call('url')
  const names = Object.keys(senders)
  const rows = emptyRows(names)
  const measure = async (name, key) => {
    const began = performance.now()
    for (let time = 0; time < TIMES[key]; time += 1) await senders[name](base, COMMANDS[key])
    return (performance.now() - began) / TIMES[key]
  }
  // Until the code is compiled, it is slower.
  for (const name of names) await measure(name, 'true')
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(names)) {
      rows[name][round] = { true: await measure(name, 'true'), lines: await measure(name, 'lines') }
    }
  }
  await server.stop()
  return rows
}
