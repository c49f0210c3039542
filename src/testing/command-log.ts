import type { Behaviour } from './releases.ts'

const LONGEST_READ_BYTES = 4096
const LONGEST_LOG_BYTES = 50_000_000
// What a line of the log has beside its data: `{"type": "output", "data": …, "ts": 1796000000.1234567}`.
const LINE_OVERHEAD_BYTES = 54

/** The output of a command since an offset. */
export interface LoggedOutput {
  readonly output: ReadonlyArray<{ readonly type: 'output'; readonly data: string }>
  readonly next_offset: number
  readonly truncated: boolean
}

/** The log of a command, with the defects of the release (PROTOCOL 9.8 and 9.10). */
export class CommandLog {
  readonly #behaviour: Behaviour
  #entries: Array<{ readonly data: string; readonly bytes: number }> = []
  #bytes = 0
  // The number of the first entry that is still there. Before 0.12.4, a server starts to count again.
  #first = 0
  #wasCut = false

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour
  }

  /** Whether the server fails when it writes the end of the command into the log: 0.11, once it has cut it. */
  get isBroken(): boolean {
    return this.#wasCut && !this.#behaviour.strictSessions
  }

  /** Adds what a PTY would print: CR LF for each LF. */
  print(output: Uint8Array): void {
    const printed = Buffer.from(Buffer.from(output).toString('latin1').replaceAll('\n', '\r\n'), 'latin1')
    for (let start = 0; start < printed.length; start += LONGEST_READ_BYTES) {
      // Each read is decoded alone, so a character that is split is lost.
      this.#add(printed.toString('utf8', start, start + LONGEST_READ_BYTES))
    }
  }

  read(offset: number, tail: number | undefined): LoggedOutput {
    const { groupCommands, strictSessions } = this.#behaviour
    const wanted = this.#entries.slice(Math.max(0, offset - this.#first))
    const output = wanted.slice(tail === undefined ? 0 : -tail).map(({ data }) => ({ type: 'output' as const, data }))
    // 0.11 takes the tail for the whole log (PROTOCOL 9.2).
    if (tail !== undefined && offset === 0 && groupCommands && !strictSessions) {
      return { output, next_offset: output.length, truncated: output.length === tail }
    }
    const truncated = offset < this.#first || output.length < wanted.length
    return { output, next_offset: this.#first + this.#entries.length, truncated }
  }

  #add(data: string): void {
    // Python escapes what is not printable ASCII.
    const bytes = LINE_OVERHEAD_BYTES + JSON.stringify(data).replaceAll(/[^ -~]/g, '\\u0000').length
    if (this.#behaviour.groupCommands && this.#bytes + bytes > LONGEST_LOG_BYTES) this.#cut()
    this.#entries.push({ data, bytes })
    this.#bytes += bytes
  }

  /** Forgets the older half, because the log has reached its limit. */
  #cut(): void {
    this.#wasCut = true
    // The log has one more line, at its beginning.
    const dropped = Math.floor((this.#entries.length + 1) / 2) - 1
    for (const { bytes } of this.#entries.splice(0, dropped)) this.#bytes -= bytes
    if (this.#behaviour.strictSessions) this.#first += dropped
  }
}
