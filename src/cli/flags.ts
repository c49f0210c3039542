import { parseArgs } from 'node:util'

/** What is wrong here rather than with a server, most of all how a command was called; says what to write instead. */
export class CommandError extends Error {
  readonly code: string
  readonly status: number

  constructor(code: string, message: string, status: number = WRONG_USE) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** The exit status for a command that was called wrongly. */
export const WRONG_USE = 2

/** Every flag that some command has. */
export type FlagName =
  | 'user'
  | 'auth-type'
  | 'policy'
  | 'context'
  | 'chat'
  | 'session'
  | 'key-file'
  | 'key'
  | 'show-key'
  | 'token-in-url'
  | 'keep-alive'
  | 'timeout'
  | 'idle'
  | 'json'
  | 'all'
  | 'help'
  | 'version'

interface Flag {
  /** What kind of value it takes, if it takes one. */
  readonly value?: string
  readonly help: string
}

const FLAGS: Record<FlagName, Flag> = {
  user: { value: 'ID', help: 'whose terminal it is; default: your login name' },
  'auth-type': { value: 'TYPE', help: 'bearer (default), session, system_oauth or none' },
  policy: { value: 'ID', help: "an orchestrator's policy" },
  context: { value: 'ID', help: "an orchestrator's context: default, chat:… or automation:…" },
  chat: { value: 'ID', help: 'the chat that the terminal belongs to' },
  session: { value: 'ID', help: 'attach to this session, and leave it when you go' },
  'key-file': { value: 'FILE', help: 'read the key from a file' },
  key: { value: 'KEY', help: 'the key itself, which everybody on this machine can see in ps' },
  'show-key': { help: 'print the key, and the other values, instead of ***' },
  'token-in-url': {
    value: 'WHEN',
    help: 'whether the key may be in the URL: fallback (default, only if the server refuses without it), always or never',
  },
  'keep-alive': {
    value: 'SECONDS',
    help: 'how long a silence lasts before a heartbeat is sent, 0 for no heartbeat; default: 30',
  },
  timeout: { value: 'SECONDS', help: 'how long to wait for the server; default: 30' },
  idle: { value: 'SECONDS', help: 'how long to see whether a silent connection is cut; default: 65' },
  json: { help: 'print what was found as JSON' },
  all: { help: 'delete every session that list shows' },
  help: { help: 'print this' },
  version: { help: 'print the version' },
}

/** What a command was called with. */
export interface Call {
  readonly url: string
  /** The arguments after the URL. */
  readonly ids: readonly string[]
  readonly flags: Readonly<Partial<Record<FlagName, string>>>
}

/** What sets one command apart from another. */
export interface Syntax {
  readonly name: string
  /** What it does, for its help. */
  readonly summary: string
  /** Whether it is given a URL. */
  readonly takesUrl: boolean
  /** Whether ids may follow the URL. */
  readonly takesIds?: boolean
  readonly flags: readonly FlagName[]
  /** The help of flags that do something else in this command. */
  readonly help?: Readonly<Partial<Record<FlagName, string>>>
}

const GLOBAL: readonly FlagName[] = ['help', 'version']

/** Reads what follows the name of a command. */
export function readCall({ name, takesUrl, takesIds = false, flags }: Syntax, args: readonly string[]): Call {
  const known = [...flags, ...GLOBAL]
  const options = Object.fromEntries(known.map((flag) => [flag, { type: typeOf(flag) }]))
  const see = `See terminal-upstream ${name} --help.`
  const given: Partial<Record<FlagName, string>> = {}
  const positionals: string[] = []
  // Not strict, because its errors know neither what is near nor where to look.
  for (const token of parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const flag = token.rawName === '-h' ? 'help' : known.find((one) => one === token.name)
    if (flag === undefined) {
      const all = known.map((one) => `--${one}`)
      throw unknownName('ERR_PARSE_ARGS_UNKNOWN_OPTION', 'flag', token.rawName, all, see)
    }
    given[flag] = valueOf(flag, token, see)
  }
  const [url = '', ...ids] = takesUrl ? positionals : ['', ...positionals]
  if (given.help !== undefined || given.version !== undefined) return { url, ids, flags: given }
  if (takesUrl && url === '') {
    throw new CommandError('ERR_PARSE_ARGS_MISSING_POSITIONAL', `The URL of the server is missing. ${see}`)
  }
  // The message does not quote the argument, because it may be a key.
  if (!takesIds && ids.length > 0) {
    throw new CommandError('ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL', `There is an argument too many. ${see}`)
  }
  return { url, ids, flags: given }
}

function typeOf(flag: FlagName): 'string' | 'boolean' {
  return FLAGS[flag].value === undefined ? 'boolean' : 'string'
}

interface OptionToken {
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

/** `''` for a flag that is just there. */
function valueOf(flag: FlagName, { value, inlineValue = false }: OptionToken, see: string): string {
  const code = 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE'
  if (typeOf(flag) === 'boolean') {
    if (value !== undefined) throw new CommandError(code, `--${flag} takes no value. ${see}`)
    return ''
  }
  // The next flag is no value, but one that was forgotten.
  if (value === undefined || (!inlineValue && value.startsWith('--'))) {
    throw new CommandError(code, `--${flag} wants a value. ${see}`)
  }
  return value
}

// More would not fit into a timer.
const MOST_SECONDS = 2_147_483

/** Returns the ms that a flag gives in seconds; `undefined` if it is not there. */
export function millisecondsOf(
  { flags }: Call,
  flag: 'timeout' | 'keep-alive' | 'idle',
  least: number,
): number | undefined {
  const value = flags[flag]
  if (value === undefined) return undefined
  const seconds = Number(value)
  if (value.trim() === '' || !(seconds >= least && seconds <= MOST_SECONDS)) {
    const range = `a number of seconds from ${least} to ${MOST_SECONDS}`
    throw new CommandError('ERR_PARSE_ARGS_INVALID_OPTION_VALUE', `--${flag} must be ${range}.`)
  }
  return Math.round(seconds * 1_000)
}

/** What `--help` prints. */
export function helpOf({ name, summary, takesUrl, takesIds = false, flags, help = {} }: Syntax): string {
  const lines = [...flags, ...GLOBAL].map((flag) => {
    const { help: usual, value = '' } = FLAGS[flag]
    return `  ${`--${flag} ${value}`.padEnd(23)}${help[flag] ?? usual}`
  })
  const key = flags.includes('key') ? KEY_HELP : ''
  const usage = [name, takesUrl && 'URL', takesIds && '[ID…]', '[flags]'].filter(Boolean).join(' ')
  return `terminal-upstream ${usage}\n\n${summary}\n${key}\n${lines.join('\n')}\n`
}

const KEY_HELP = `
The key is read from TERMINAL_UPSTREAM_KEY or --key-file, or asked for where there is a terminal to ask at.
`

/** An error that names the nearest of what there is, if anything is near. */
export function unknownName(
  code: string,
  what: string,
  name: string,
  known: readonly string[],
  see: string,
): CommandError {
  const near = [1, 2].flatMap((edits) => known.filter((one) => isWithin(edits, name, one)))
  const hint = near.length > 0 ? ` Did you mean ${near[0]}?` : ''
  return new CommandError(code, `There is no ${what} ${name.replaceAll(/[^\w-]/g, '?')}.${hint} ${see}`)
}

/** Whether so many characters that are added, taken out or replaced make one of the other. */
function isWithin(edits: number, left: string, right: string): boolean {
  if (edits < 0) return false
  if (left === '' || right === '') return left.length + right.length <= edits
  const [shorter, other] = [left.slice(1), right.slice(1)]
  if (left[0] === right[0]) return isWithin(edits, shorter, other)
  return isWithin(edits - 1, shorter, right) || isWithin(edits - 1, left, other) || isWithin(edits - 1, shorter, other)
}
