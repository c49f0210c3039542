import { delay } from '../lib/deadline.ts'
import type { TerminalConnection } from '../terminal/connection.ts'
import { createEscape } from './escape.ts'
import type { InputStream } from './host.ts'

const END_OF_TRANSMISSION = '\u0004'
// 1024 bytes every 20 ms are 50 KB a second. With more, Open Terminal up to 0.12.3 loses input: what the shell has not
// read yet must fit into its PTY.
const CHUNK_BYTES = 1024
const CHUNK_INTERVAL = 20
// ms. By then the terminal has noticed that the shell has ended, if it has.
const FIRST_RETRY = 2_500
const LONGEST_RETRY = 60_000

/**
 * Sends all input to the terminal. Calls `detach` for `~.` and for the end of input on a terminal; for the end of a pipe,
 * ends the shell. Returns a function that stops it.
 */
export function sendInput(
  stdin: InputStream,
  terminal: TerminalConnection,
  countOutput: () => number,
  detach: () => void,
): () => void {
  const stopping = new AbortController()
  if (stdin.isTTY) sendKeys(stdin, terminal, detach)
  // Rejects when it is stopped, and when the terminal has ended, which `closed` reports.
  else sendPipe(stdin, terminal, countOutput, stopping.signal).catch(() => {})
  return () => {
    stopping.abort()
    stdin.destroy()
  }
}

/** Does not wait for the server: `~.` must work when the server hangs. */
function sendKeys(stdin: InputStream, terminal: TerminalConnection, detach: () => void): void {
  const readKeys = createEscape()
  stdin.on('data', (keys: Uint8Array) => {
    const { send, detach: isDetaching } = readKeys(keys)
    if (send.length > 0) void terminal.write(send)
    if (isDetaching) detach()
  })
  stdin.on('end', detach)
  stdin.on('error', detach)
  stdin.resume()
}

async function sendPipe(
  stdin: InputStream,
  terminal: TerminalConnection,
  countOutput: () => number,
  signal: AbortSignal,
): Promise<void> {
  let lastCharacter = ''
  for await (const chunk of stdin) {
    const bytes = Buffer.from(chunk)
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
      await terminal.write(bytes.subarray(start, start + CHUNK_BYTES))
      await delay(CHUNK_INTERVAL, signal)
    }
    lastCharacter = bytes.toString('latin1').slice(-1)
  }
  // A shell that reads a pipe runs a last line without a line feed, too.
  if (/[^\r\n]/.test(lastCharacter)) await terminal.write('\n')
  // A program that does not read its terminal may miss the end of transmission, so it is sent until the shell ends.
  for (let wait = FIRST_RETRY; ;) {
    const before = countOutput()
    await terminal.write(END_OF_TRANSMISSION)
    await delay(wait, signal)
    wait = countOutput() > before ? FIRST_RETRY : Math.min(2 * wait, LONGEST_RETRY)
  }
}
