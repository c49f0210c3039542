import type { TerminalConnection } from '../terminal/connection.ts'
import { delay } from '../lib/deadline.ts'
import { createEscape } from './escape.ts'
import type { Input } from './host.ts'

const END_OF_TRANSMISSION = '\u0004'
// No program types faster than this, 50 KB a second, without having a shell on Open Terminal up to 0.12.3 miss some: what
// it is not reading yet has to fit into its PTY.
const PACE_BYTES = 1024
const PACE = 20
// ms; by then the terminal has noticed if the shell has ended.
const FIRST_REMINDER = 2_500
const LAST_REMINDER = 60_000

/** Types whatever is read; `leave` is called for `~.`, and when a terminal is gone. Returns what stops it. */
export function feed(
  stdin: Input,
  terminal: TerminalConnection,
  countOutput: () => number,
  leave: () => void,
): () => void {
  const stopping = new AbortController()
  if (stdin.isTTY) typeKeys(stdin, terminal, leave)
  // It ends with an error when it is stopped, and when the terminal has ended, which tells by itself how it did.
  else typeAll(stdin, terminal, countOutput, stopping.signal).catch(() => {})
  return () => {
    stopping.abort()
    stdin.destroy()
  }
}

/** Without waiting for the server, or `~.` could not be seen when that hangs. */
function typeKeys(stdin: Input, terminal: TerminalConnection, leave: () => void): void {
  const readKeys = createEscape()
  stdin.on('data', (keys: Uint8Array) => {
    const { send, detach } = readKeys(keys)
    if (send.length > 0) void terminal.write(send)
    if (detach) leave()
  })
  stdin.on('end', leave)
  stdin.on('error', leave)
  stdin.resume()
}

async function typeAll(
  stdin: Input,
  terminal: TerminalConnection,
  countOutput: () => number,
  signal: AbortSignal,
): Promise<void> {
  let last = ''
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk)
    for (let start = 0; start < bytes.length; start += PACE_BYTES) {
      await terminal.write(bytes.subarray(start, start + PACE_BYTES))
      await delay(PACE, signal)
    }
    last = bytes.toString('latin1').slice(-1)
  }
  // A shell that reads a pipe takes a last line that does not end, too.
  if (/[^\r\n]/.test(last)) await terminal.write('\n')
  // A pipe's end is there for all that read it. A terminal's is for one, and may be lost while none does: once more.
  for (let wait = FIRST_REMINDER; ;) {
    const before = countOutput()
    await terminal.write(END_OF_TRANSMISSION)
    await delay(wait, signal)
    wait = countOutput() > before ? FIRST_REMINDER : Math.min(2 * wait, LAST_REMINDER)
  }
}
