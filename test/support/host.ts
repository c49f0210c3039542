import { EventEmitter, once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import type { Host } from '../../src/cli/host.ts'
import { main } from '../../src/cli/main.ts'

/** The process that a command is started in. */
export interface HostOptions {
  /** Which of the streams are terminals. Default: none. */
  tty?: boolean | { stdin?: boolean; stdout?: boolean; stderr?: boolean }
  columns?: number
  rows?: number
  /** Added to a `TERMINAL_UPSTREAM_KEY`, which `undefined` removes. */
  env?: Record<string, string | undefined>
  platform?: NodeJS.Platform
  /** The whole input. Without it, the input stays open. */
  piped?: string | Uint8Array
}

/** Stands in for a process, and records what a command does to it. */
export class FakeHost extends EventEmitter implements Host {
  readonly stdin: PassThrough & { isTTY?: boolean; setRawMode?: (raw: boolean) => void }
  readonly stdout: Screen
  readonly stderr: Screen
  readonly env: Record<string, string | undefined>
  readonly platform: NodeJS.Platform
  /** Every change of the raw mode. */
  readonly raw: boolean[] = []
  readonly exits: number[] = []

  constructor({ tty = false, columns = 80, rows = 24, env = {}, platform = 'linux', piped }: HostOptions = {}) {
    super()
    const all = typeof tty === 'boolean' ? { stdin: tty, stdout: tty, stderr: tty } : tty
    this.stdin = new PassThrough()
    if (all.stdin) Object.assign(this.stdin, { isTTY: true, setRawMode: (raw: boolean) => this.raw.push(raw) })
    this.stdout = new Screen(all.stdout ? { columns, rows } : undefined)
    this.stderr = new Screen(all.stderr ? { columns, rows } : undefined)
    this.env = { TERMINAL_UPSTREAM_KEY: 'sk-canary', ...env }
    this.platform = platform
    if (piped !== undefined) this.stdin.end(piped)
  }

  exit(status: number): void {
    this.exits.push(status)
  }
}

/** An output stream that keeps its text. */
export class Screen extends Writable {
  readonly isTTY: boolean
  columns: number
  rows: number
  text = ''
  /** Set while nothing reads the output; {@link flow} calls it. */
  stuck: (() => void) | undefined

  constructor(size?: { columns: number; rows: number }) {
    super({ highWaterMark: 1024 })
    this.isTTY = size !== undefined
    this.columns = size?.columns ?? 0
    this.rows = size?.rows ?? 0
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString('latin1')
    this.emit('text')
    if (this.stuck) this.stuck = done
    else done()
  }

  resizeTo(columns: number, rows: number): void {
    Object.assign(this, { columns, rows })
    this.emit('resize')
  }

  /** Stops reading the output. */
  stick(): void {
    this.stuck = () => {}
  }

  /** Reads the output again. */
  flow(): void {
    const done = this.stuck
    this.stuck = undefined
    done?.()
  }

  /** Resolves when the output contains the text. */
  async shows(text: string): Promise<void> {
    while (!this.text.includes(text)) await once(this, 'text')
  }
}

/** Returns the error of a write to a pipe whose reader has gone. */
export function brokenPipe(code = 'EPIPE'): Error {
  return Object.assign(new Error(`write ${code}`), { code })
}

/** Starts a command; `status` resolves with its exit status. */
export function start(args: readonly string[], options: HostOptions = {}): { host: FakeHost; status: Promise<number> } {
  const host = new FakeHost(options)
  return { host, status: main(args, host, '1.2.3') }
}

/** Runs a command to its end. */
export async function run(
  args: readonly string[],
  options: HostOptions = {},
): Promise<{ status: number; stdout: string; stderr: string }> {
  const { host, status } = start(args, options)
  return { status: await status, stdout: host.stdout.text, stderr: host.stderr.text }
}
