import { quote } from '../command/script.ts'
import { TerminalError, type TerminalErrorCode } from '../lib/errors.ts'
import { evidenceIn } from '../upstream/failures.ts'
import { withoutQuery } from '../upstream/url.ts'
import { SHOWN_FLAGS, type Call, type FlagName } from './flags.ts'
import { CommandError, WRONG_USE, type Host } from './host.ts'

/** An error that the user can do something about. */
export interface ExpectedError {
  readonly code: string
  readonly message: string
}

/** Returns `false` for a mistake in this program, which deserves a stack trace. */
export function isExpected(error: unknown): error is ExpectedError {
  if (error instanceof TerminalError || error instanceof CommandError) return true
  // The rest are the library's errors for wrong arguments. `instanceof Error` is false for an error of another realm.
  const { code, message }: { code?: unknown; message?: unknown } = Object(error)
  return typeof code === 'string' && typeof message === 'string' && /^ERR_(INVALID_ARG|OUT_OF_RANGE)/.test(code)
}

/** Returns the exit status for the error. */
export function exitStatusOf(error: ExpectedError): number {
  if (error instanceof CommandError) return error.exitStatus
  return error instanceof TerminalError && error.code !== 'ERR_TERMINAL_INVALID_URL' ? 1 : WRONG_USE
}

/** Prints the error as one line. */
export function printError({ stderr }: Host, { code, message }: ExpectedError): void {
  stderr.write(`terminal-upstream: ${code}: ${withFlagNames(message)}\n`)
}

// What the command calls the options of the library.
const FLAG_OF: Record<string, string> = {
  base: 'the URL',
  key: 'the key',
  authType: '--auth-type',
  userId: '--user',
  policyId: '--policy',
  contextId: '--context',
  chatId: '--chat',
  sessionId: '--session',
  headers: '--header',
  tokenInUrl: '--token-in-url',
  keepAlive: '--keep-alive',
  timeout: '--timeout',
  idle: '--idle',
  origin: '--origin',
  cwd: '--cwd',
  env: '--env-file',
  command: 'the command',
  stdin: 'stdin',
}

/** Replaces the library's options in a message by the flags of the command. */
export function withFlagNames(text: string): string {
  return text.replaceAll(/`(\w+)(?:\.([^`]+))?`/g, (quoted, name: string, part?: string) => {
    const flag = FLAG_OF[name]
    if (flag === undefined) return quoted
    return part === undefined ? flag : `${flag} ${part}`
  })
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

/** Adds where a key can come from, or how to find out more, to an error of which a probe may know more. */
export function advise<E>(
  error: E,
  call: Call,
  { authType, key = '' }: { readonly authType: string; readonly key: string | undefined },
): E | TerminalError {
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

/** Returns the command that probes the same server for the same user. What may be a secret is `***`. */
function probeCommand({ url, flags, headers }: Call): string {
  const place = withoutQuery(url)
  const shown: readonly FlagName[] = [...SHOWN_FLAGS, 'header-file']
  const words = shown.flatMap((flag) => (flags[flag] === undefined ? [] : [`--${flag}`, flags[flag]]))
  // By itself, a probe puts the key into URLs.
  if (flags['token-in-url'] === 'never') words.push('--token-in-url', 'never')
  for (const header of headers) words.push('--header', `${header.replace(/:.*/s, '')}: ***`)
  const quoted = [place === url ? url : `${place}?***`, ...words].map((word) =>
    /^[\w./:@=-]+$/.test(word) ? word : quote(word),
  )
  return `terminal-upstream probe ${quoted.join(' ')}`
}
