import { assertSignal, assertWhole, wrongType, wrongValue } from '../lib/arguments.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import { bytesOf } from '../lib/globals.ts'
import { knownOptions, readUpstream, type UpstreamOptions } from '../upstream/options.ts'
import { assertShort, commandScript, PREFIX, type CommandPlan } from './script.ts'
import type { CommandOptions } from './types.ts'

/** The options of a command, checked, with all defaults filled in. */
export interface CommandSettings {
  readonly upstream: Omit<UpstreamOptions, 'signal'>
  /** What is the same for all commands of a server. */
  readonly base: string
  /** What is the same for all commands of a user's server. */
  readonly place: string
  readonly plan: CommandPlan
  /** What `commandScript` returns for the plan. */
  readonly script: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin: Uint8Array
  readonly signal: AbortSignal | undefined
  readonly timeout: number | undefined
  readonly grace: number
  readonly concurrency: number
  /** Whether the output is wanted as it comes. */
  readonly isLive: boolean
  readonly onOutput: Readonly<Record<'stdout' | 'stderr', (chunk: Uint8Array) => void>>
  readonly isText: boolean
}

const OPTIONS = 'command cwd env stdin grace encoding concurrency onStdout onStderr'.split(' ')
const GRACE_MS = 2_000
// PROTOCOL 9.14: processors + 3 at once, with a place for a signal.
const CONCURRENCY = 4
const MOST_AT_ONCE = 1_000
// Linux has 2 MB for the arguments and variables of a program, those of the server included.
const LONGEST_ENV_BYTES = 1024 * 1024
// A shell ends when it is told to set one of these: `OPTIND` is that of dash, the others those of bash.
const SHELL_NAMES = /^(?:OPTIND|E?UID|PPID|SHELLOPTS|BASHOPTS|BASH_VERSINFO)$/
// In base64, it has to fit one variable.
const LONGEST_INLINE_BYTES = 32 * 1024

/** Reads each option once. Throws for one that is wrong, or that no command has. */
export function readCommand(owner: string, options: CommandOptions): CommandSettings {
  const given = knownOptions(owner, options, OPTIONS)
  const { command, cwd, env: variables, stdin: content, signal, timeout, onStdout, onStderr, ...rest } = given
  const { encoding = 'utf8', grace = GRACE_MS, concurrency = CONCURRENCY } = rest
  assertSignal(signal)
  assertPlain('command', command)
  if (cwd !== undefined) assertPlain('cwd', cwd)
  if (encoding !== 'utf8' && encoding !== 'buffer') throw wrongValue('encoding', "must be 'utf8' or 'buffer'")
  if (timeout !== undefined) assertWhole('timeout', timeout, 1, LONGEST_TIMER_MS)
  assertWhole('grace', grace, 0, LONGEST_TIMER_MS)
  assertWhole('concurrency', concurrency, 1, MOST_AT_ONCE)
  assertFunction('onStdout', onStdout)
  assertFunction('onStderr', onStderr)
  const env = readEnv(variables)
  const stdin = readStdin(content)
  const input = stdin.length === 0 ? 'none' : stdin.length > LONGEST_INLINE_BYTES ? 'file' : 'variable'
  const plan: CommandPlan = { name: randomName(), command, cwd, variables: Object.keys(env), input }
  const script = commandScript(plan)
  assertShort('command', script, "run 'sh -s', and pass the command in `stdin`")
  const upstream = readUpstream(rest)
  return {
    upstream,
    base: upstream.base,
    place: [upstream.base, upstream.policyId, upstream.contextId, upstream.userId].join(' '),
    plan,
    script,
    env,
    stdin,
    signal,
    timeout,
    grace,
    concurrency,
    isLive: onStdout !== undefined || onStderr !== undefined,
    onOutput: { stdout: onStdout ?? ignore, stderr: onStderr ?? ignore },
    isText: encoding === 'utf8',
  }
}

function readEnv(env: unknown = {}): Record<string, string> {
  if (typeof env !== 'object' || env === null) throw wrongType('env', 'an object', env)
  const entries = Object.entries(env)
  const size = entries.reduce((sum, [name, value]) => sum + bytesOf(`${name}=${String(value)}`).length, 0)
  if (size > LONGEST_ENV_BYTES) throw wrongValue('env', 'is too long for Linux: pass it in `stdin`')
  return Object.fromEntries(
    entries.map(([name, value]): [string, string] => {
      if (!/^[A-Za-z_]\w*$/.test(name))
        throw wrongValue(`env.${name}`, 'must have a name of letters, digits and _ only')
      if (name.startsWith(PREFIX)) throw wrongValue(`env.${name}`, `must not begin with ${PREFIX}`)
      if (SHELL_NAMES.test(name)) throw wrongValue(`env.${name}`, 'belongs to the shell')
      assertPlain(`env.${name}`, value)
      assertShort(`env.${name}`, `${PREFIX}${name}=${value}`, 'pass it in `stdin`')
      return [name, value]
    }),
  )
}

function readStdin(stdin: unknown = ''): Uint8Array {
  if (typeof stdin === 'string') return bytesOf(stdin)
  // A copy: the caller may fill it anew.
  if (ArrayBuffer.isView(stdin)) return new Uint8Array(stdin.buffer, stdin.byteOffset, stdin.byteLength).slice()
  throw wrongType('stdin', 'a string or a Uint8Array', stdin)
}

/** Throws unless `value` is a string that arrives on the server unchanged. */
function assertPlain(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw wrongType(name, 'a string', value)
  if (/[\0\p{Cs}]/u.test(value)) throw wrongValue(name, 'must not contain NUL or lone surrogates')
}

function assertFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw wrongType(name, 'a function', value)
}

function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function ignore(): void {}
