import { delay } from '../lib/deadline.ts'
import { hasCode, type TerminalError } from '../lib/errors.ts'
import type { TerminalConnection } from '../terminal/types.ts'
import { createEscape } from './escape.ts'
import type { InputStream } from './host.ts'

const END_OF_TRANSMISSION = '\u0004'
// ms. By then the terminal has noticed that the shell has ended, if it has.
const FIRST_RETRY = 2_500
const LONGEST_RETRY = 60_000

/**
 * Sends all input to the terminal. Calls `detach` for `~.` and for the end of input on a terminal; for the end of a pipe,
 * ends the shell. Calls `refuse` with the error of input that no program reads. Returns a function that stops it.
 */
export function sendInput(
  stdin: InputStream,
  terminal: TerminalConnection,
  countOutput: () => number,
  detach: () => void,
  refuse: (error: TerminalError) => void,
): () => void {
  const stopping = new AbortController()
  // Input is also rejected when the terminal has ended, which `closed` reports, and when this is stopped.
  const onRejected = (error: unknown): void => {
    if (hasCode(error, 'ERR_TERMINAL_INPUT_STALLED')) refuse(error)
  }
  if (stdin.isTTY) sendKeys(stdin, terminal, detach, onRejected)
  else sendPipe(stdin, terminal, countOutput, stopping.signal).catch(onRejected)
  return () => {
    stopping.abort()
    stdin.destroy()
  }
}

/** Does not wait for the server: `~.` must work when the server hangs. */
function sendKeys(
  stdin: InputStream,
  terminal: TerminalConnection,
  detach: () => void,
  onRejected: (error: unknown) => void,
): void {
  const readKeys = createEscape()
  stdin.on('data', (keys: Uint8Array) => {
    const { send, detach: isDetaching } = readKeys(keys)
    if (send.length > 0) terminal.write(send).catch(onRejected)
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
    await terminal.write(bytes)
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
