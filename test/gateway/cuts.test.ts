import { Terminal } from '@xterm/headless'
import { spawn, type IPty } from '@lydell/node-pty'
import { execFileSync } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, vi } from 'vitest'
import { connectTerminal, type TerminalConnection } from '../../src/index.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { relayTo, type Cut, type CuttableRelay } from '../support/cuttable-relay.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { pageOf, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, until } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 180_000 })
failOnUnhandledErrors()

const SESSIONS = 5
const CUTS = 200
// A freeze is the rarest: the client notices it only after some heartbeats.
const KINDS: Cut[] = [
  ...Array.from<Cut>({ length: 9 }).fill('reset'),
  ...Array.from<Cut>({ length: 9 }).fill('close'),
  'freeze',
]

type Shell = NonNullable<TestUpstreamOptions['shell']>

/** A client of a session, and the witness: everything that the shell has printed. */
interface Watched {
  readonly relay: CuttableRelay
  readonly terminal: TerminalConnection
  /** What the client has received, over all connections. */
  readonly received: Buffer[]
  readonly witness: Buffer[]
}

/** Opens a terminal behind a gateway, over a connection that can be cut. `shell` records what it prints. */
async function watch(shell: (witness: Buffer[]) => Shell, replayBytes: number): Promise<Watched> {
  const witness: Buffer[] = []
  const gateway = await startGateway({ replayBytes }, { release: 'open-terminal@0.14.5', shell: shell(witness) })
  const relay = await relayTo(gateway)
  const terminal = await connectTerminal({ ...pageOf(relay), reconnect: { delay: 5 }, keepAlive: 50 })
  afterwards(terminal)
  const received: Buffer[] = []
  terminal.onData((chunk) => received.push(Buffer.from(chunk)))
  return { relay, terminal, received, witness }
}

/** Cuts the connection at a random moment, and resolves when the session is resumed. */
async function cutOnce({ relay, terminal }: Watched): Promise<void> {
  await sleep(randomInt(40))
  const cuts = new Promise<void>((resolve) => {
    const stop = terminal.onStatus((status) => {
      if (status !== 'open') return
      stop()
      resolve()
    })
  })
  relay.cut(KINDS[randomInt(KINDS.length)] ?? 'reset')
  await cuts
}

/** Resolves when the client has received as much as the witness, which must not print any more. */
async function compare({ received, witness }: Watched): Promise<void> {
  const all = Buffer.concat(witness)
  await until(() => received.reduce((sum, { length }) => sum + length, 0) >= all.length)
  const got = Buffer.concat(received)
  expect(got.length).toBe(all.length)
  expect(got.equals(all)).toBe(true)
}

/** A shell that prints 400 KB of random bytes a second until it gets any input. */
function noise(witness: Buffer[]): Shell {
  return ({ output }) => {
    const timer = setInterval(() => {
      const chunk = randomBytes(randomInt(1, 8_000))
      witness.push(chunk)
      void output(chunk)
    }, 10)
    return { input: () => clearInterval(timer), kill: () => clearInterval(timer) }
  }
}

it(`${SESSIONS * CUTS} random cuts in floods of random bytes cost no byte and double none`, async () => {
  const sessions = await Promise.all(Array.from({ length: SESSIONS }, () => watch(noise, 256 * 1024)))
  await Promise.all(
    sessions.map(async (session) => {
      for (let count = 0; count < CUTS; count += 1) await cutOnce(session)
      await session.terminal.write('stop')
      await sleep(50)
      await compare(session)
    }),
  )
})

/** A shell that runs a program on a PTY, and records what the program prints. */
function program(file: string, args: string[], started: (pty: IPty) => void) {
  return (witness: Buffer[]): Shell =>
    ({ output, exit }) => {
      const pty = spawn(file, args, { name: 'xterm-256color', cols: 100, rows: 30, encoding: null })
      started(pty)
      pty.onData((chunk) => {
        witness.push(Buffer.from(chunk))
        void output(chunk)
      })
      pty.onExit(() => exit())
      return {
        // node-pty also writes bytes, but its types do not say so.
        input: (data) => pty.write(Buffer.from(data) as unknown as string),
        resize: (cols, rows) => pty.resize(Math.max(cols, 1), Math.max(rows, 1)),
        kill: () => pty.kill('SIGKILL'),
      }
    }
}

function isInstalled(file: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${file}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const BUILD =
  'i=0; while :; do i=$((i+1)); printf "\\033[32m[%d/999]\\033[0m building grüße-%d €\\r\\n" $i $i; sleep 0.002; done'
const programs: Array<[file: string, args: string[], keys: string[]]> = [
  ['vim', ['-u', 'NONE', '-n', '/etc/services'], ['\x06', '\x02', 'iabc\x1b', ':set nu!\r', 'u', 'G', 'gg']],
  ['htop', ['-d', '2'], ['\x1b[B', 't', 'P', 'M']],
  ['top', ['-d', '0.1'], ['M', 'P', 'c']],
  ['sh', ['-c', BUILD], []],
]

it.each(programs)('50 random cuts in %s cost no byte and double none', async (file, args, keys) => {
  if (!isInstalled(file)) return console.log(`${file} is not installed`)
  let pty: IPty | undefined
  const session = await watch(
    program(file, args, (started) => (pty = started)),
    256 * 1024,
  )
  for (let count = 0; count < 50; count += 1) {
    const key = keys[randomInt(keys.length || 1)]
    if (key !== undefined && session.terminal.status === 'open') session.terminal.write(key).catch(() => {})
    await cutOnce(session)
  }
  pty?.kill('SIGSTOP')
  await sleep(100)
  await compare(session)
})

/** Returns the lines of the screen of an xterm.js that has shown some output. */
async function screenOf(output: Buffer): Promise<string[]> {
  const terminal = new Terminal({ cols: 100, rows: 30, allowProposedApi: true, logLevel: 'off' })
  await new Promise<void>((resolve) => terminal.write(Uint8Array.from(output), resolve))
  const { active } = terminal.buffer
  return Array.from({ length: 30 }, (_, row) => String(active.getLine(active.baseY + row)?.translateToString(true)))
}

/** A shell that prints numbered lines, in colours and with queries, as fast as the gateway takes them. */
function flood(witness: Buffer[]): Shell {
  return ({ output }) => {
    const stopping = new AbortController()
    let line = 0
    const print = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        const lines = Array.from({ length: 50 }, () => `\x1b[3${line % 8}mline ${(line += 1)} €\x1b[0m\x1b[6n\r\n`)
        const chunk = Buffer.from(lines.join(''))
        witness.push(chunk)
        await output(chunk)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    void print()
    return { input: () => stopping.abort(), kill: () => stopping.abort() }
  }
}

it('cuts in a flood that the gateway cannot keep leave the screen of the witness', async () => {
  const session = await watch(flood, 16 * 1024)
  for (let count = 0; count < 50; count += 1) await cutOnce(session)
  await session.terminal.write('stop')
  await sleep(100)
  const all = Buffer.concat(session.witness)
  await until(() => Buffer.concat(session.received).includes(all.subarray(-1_000)))
  const got = Buffer.concat(session.received)
  expect(got.includes('\x18\x1bc')).toBe(true)
  expect(got.length).toBeLessThan(all.length)
  expect(await screenOf(got)).toEqual(await screenOf(all))
})
