import { delay } from '../lib/deadline.ts'
import { hasCode, type TerminalError } from '../lib/errors.ts'
import type { TerminalConnection } from '../terminal/types.ts'
import type { InputStream } from './host.ts'

/** What the input of a command does beside being sent. */
export interface InputEvents {
  /** `~.`, and the end of input on a terminal. */
  readonly detach: () => void
  /** Input that no program reads. */
  readonly refuse: (error: TerminalError) => void
  /** How many chunks of output there have been. They show whether the shell still answers after the end of a pipe. */
  readonly countOutput: () => number
}

/** Sends all input to the terminal. Ends the shell at the end of a pipe. Returns a function that stops it. */
export function sendInput(stdin: InputStream, terminal: TerminalConnection, events: InputEvents): () => void {
  const stopping = new AbortController()
  // Input is also rejected when the terminal has ended, which `closed` reports, and when this is stopped.
  const onRejected = (error: unknown): void => {
    if (hasCode(error, 'ERR_TERMINAL_INPUT_STALLED')) events.refuse(error)
  }
  if (stdin.isTTY) sendKeys(stdin, terminal, events, onRejected)
  else sendPipe(stdin, terminal, events, stopping.signal).catch(onRejected)
  return () => {
    stopping.abort()
    stdin.destroy()
  }
}

/** Does not wait for the server: `~.` must work when the server hangs. */
function sendKeys(
  stdin: InputStream,
  terminal: TerminalConnection,
  { detach }: InputEvents,
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

const CARRIAGE_RETURN = 13
const LINE_FEED = 10
const TILDE = 126
const DOT = 46
// A user does not type more keys between two reads. More keys are a paste, which may contain any text.
const MAX_TYPED_KEYS = 16

/** Looks for `~.` in typed keys, as ssh does. Returns the keys to send, and whether to detach. */
type ReadKeys = (keys: Uint8Array) => { readonly send: Uint8Array; readonly detach: boolean }

/**
 * Returns a function that holds back a `~` at the start of a line until the next key: `.` detaches, a second `~` sends
 * one `~`, any other key sends both.
 */
export function createEscape(): ReadKeys {
  // Both say what the last key was: the next key may come in another read.
  let isLineStart = true
  let isTildeHeld = false
  return (keys) => {
    const send: number[] = []
    const isTyped = keys.length <= MAX_TYPED_KEYS
    for (const key of keys) {
      if (isTildeHeld && key === DOT) return { send: Uint8Array.from(send), detach: true }
      const isFirstTilde = isTyped && isLineStart && !isTildeHeld && key === TILDE
      if (isTildeHeld && key !== TILDE) send.push(TILDE)
      if (!isFirstTilde) send.push(key)
      isTildeHeld = isFirstTilde
      isLineStart = key === CARRIAGE_RETURN || key === LINE_FEED
    }
    return { send: Uint8Array.from(send), detach: false }
  }
}

const END_OF_TRANSMISSION = '\u0004'
// By then the terminal has noticed that the shell has ended, if it has.
const FIRST_RETRY_MS = 2_500
const LONGEST_RETRY_MS = 60_000

async function sendPipe(
  stdin: InputStream,
  terminal: TerminalConnection,
  { countOutput }: InputEvents,
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
  for (let wait = FIRST_RETRY_MS; ;) {
    const before = countOutput()
    await terminal.write(END_OF_TRANSMISSION)
    await delay(wait, signal)
    wait = countOutput() > before ? FIRST_RETRY_MS : Math.min(2 * wait, LONGEST_RETRY_MS)
  }
}
