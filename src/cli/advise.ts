import { TerminalError, type TerminalErrorCode } from '../lib/errors.ts'
import { evidenceIn } from '../upstream/failures.ts'
import { whereOf } from '../upstream/url.ts'
import type { Call, FlagName } from './flags.ts'

/** The part of a target that {@link advise} reads. */
interface KeySource {
  readonly authType: string
  readonly key: string | undefined
}

// The failures of which a probe may know more.
const PROBED: readonly TerminalErrorCode[] = [
  'ERR_TERMINAL_UNAUTHORIZED',
  'ERR_TERMINAL_FORBIDDEN',
  'ERR_TERMINAL_MISSING_USER',
  'ERR_TERMINAL_NOT_FOUND',
  'ERR_TERMINAL_UNAVAILABLE',
  'ERR_TERMINAL_TIMEOUT',
  'ERR_TERMINAL_PROTOCOL',
]

/** Adds to the error of a command where a key can come from, or how to find out more; returns every other error unchanged. */
export function advise(error: unknown, call: Call, { authType, key = '' }: KeySource): unknown {
  if (!(error instanceof TerminalError) || !PROBED.includes(error.code)) return error
  const { code, message, why } = error
  // The session has ended, or never was there: there is no more to know.
  if (code === 'ERR_TERMINAL_NOT_FOUND' && call.flags.session !== undefined) return error
  // A proxy on the way that wants a login gives no reason, and no key would help.
  const isServers = evidenceIn(error).says
  const isKeyMissing = code === 'ERR_TERMINAL_UNAUTHORIZED' && authType !== 'none' && key.trim() === '' && isServers
  const more = isKeyMissing
    ? 'Set TERMINAL_UPSTREAM_KEY, or use --key-file.'
    : `To find out more, run: ${probeCommand(call)}`
  return new TerminalError(code, `${message} ${more}`, { why, cause: error })
}

const PROBE_FLAGS: readonly FlagName[] = ['user', 'auth-type', 'policy', 'context', 'chat', 'key-file', 'header-file']

/** Returns the command that probes the same server for the same user. What may be a secret is `***`. */
function probeCommand({ url, flags, headers }: Call): string {
  const place = whereOf(url)
  const words = PROBE_FLAGS.flatMap((flag) => (flags[flag] === undefined ? [] : [`--${flag}`, flags[flag]]))
  const names = headers.flatMap((header) => ['--header', `${header.replace(/:.*/s, '')}: ***`])
  // By itself, a probe puts the key into URLs.
  const limits = flags['token-in-url'] === 'never' ? ['--token-in-url', 'never'] : []
  const shown = [place === url ? url : `${place}?***`, ...words, ...limits, ...names]
  return `terminal-upstream probe ${shown.map(quoted).join(' ')}`
}

/** Quotes a word for a shell. */
function quoted(word: string): string {
  return /^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
