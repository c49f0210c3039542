import { parseArgs } from 'node:util'

/** An error of the command itself, not of a server. Most say how to call the command instead. */
export class CommandError extends Error {
  readonly code: string
  readonly exitStatus: number

  constructor(code: string, message: string, exitStatus: number = WRONG_USE) {
    super(message)
    this.code = code
    this.exitStatus = exitStatus
  }
}

/** The exit status for a command that was called wrongly. */
export const WRONG_USE = 2

interface Flag {
  /** The value in the help; absent for a flag without a value. */
  readonly value?: string
  readonly help: string
}

/** The flags of all commands. */
const FLAGS = {
  user: { value: 'ID', help: 'whose terminal it is; default: your login name' },
  'auth-type': { value: 'TYPE', help: 'bearer (default), session, system_oauth or none' },
  policy: { value: 'ID', help: "an orchestrator's policy" },
  context: { value: 'ID', help: "an orchestrator's context: default, chat:… or automation:…" },
  chat: { value: 'ID', help: 'the chat that the terminal belongs to' },
  session: { value: 'ID', help: 'attach to this session, and do not delete it at the end' },
  'key-file': { value: 'FILE', help: 'read the key from a file' },
  key: { value: 'KEY', help: 'the key, which ps shows to every user of this machine' },
  'header-file': {
    value: 'FILE',
    help: 'read headers for what stands in front of the server, one a line; for secrets',
  },
  header: { value: 'HEADER', help: "one such header, 'Name: value', which ps shows to every user; may be repeated" },
  'show-key': { help: 'print the key and the values of the query instead of ***' },
  'token-in-url': {
    value: 'WHEN',
    help: 'whether the key may be in the URL: fallback (default, only if the server refuses without it), always or never',
  },
  'keep-alive': {
    value: 'SECONDS',
    help: 'how long a silence lasts before a heartbeat is sent, 0 for no heartbeat; default: 30',
  },
  timeout: { value: 'SECONDS', help: 'how long to wait for the server; default: 30' },
  idle: { value: 'SECONDS', help: 'how long to keep a connection silent, to see whether it is cut; default: 65' },
  origin: { value: 'URL', help: 'test as a page at this address does, such as https://chat.example; default: no page' },
  json: { help: 'print JSON' },
  all: { help: 'delete every session that list shows' },
  help: { help: 'print this help' },
  version: { help: 'print the version' },
} as const

export type FlagName = keyof typeof FLAGS

/** The flags that say which terminal it is, and may be shown to everyone. */
export const SHOWN_FLAGS: readonly FlagName[] = ['user', 'auth-type', 'policy', 'context', 'chat', 'key-file']

/** The flags of every command that sends something to a server. */
export const TARGET_FLAGS: readonly FlagName[] = [...SHOWN_FLAGS, 'key', 'header-file', 'header', 'timeout']

/** The arguments of a command. */
export interface Call {
  readonly url: string
  /** The arguments after the URL. */
  readonly ids: readonly string[]
  /** The values of the flags, `''` for a flag without a value. */
  readonly flags: Readonly<Partial<Record<FlagName, string>>>
  /** Every value of `--header`. */
  readonly headers: readonly string[]
}

/** The arguments that a command takes, and its help. */
export interface Syntax {
  readonly name: string
  /** What the command does, for its help. */
  readonly summary: string
  /** Whether the first argument is a URL. */
  readonly takesUrl: boolean
  /** Whether ids may follow the URL. */
  readonly takesIds?: boolean
  readonly flags: readonly FlagName[]
  /** The help of flags that mean something else in this command. */
  readonly help?: Readonly<Partial<Record<FlagName, string>>>
}

const GLOBAL: readonly FlagName[] = ['help', 'version']

/** Reads the arguments after the name of a command. */
export function readCall({ name, takesUrl, takesIds = false, flags }: Syntax, args: readonly string[]): Call {
  const known = [...flags, ...GLOBAL]
  const options = Object.fromEntries(known.map((flag) => [flag, { type: typeOf(flag) }]))
  const helpHint = `See terminal-upstream ${name} --help.`
  const wrongUse = (code: string, problem: string) => new CommandError(code, `${problem} ${helpHint}`)
  const given: Partial<Record<FlagName, string>> = {}
  const headers: string[] = []
  const positionals: string[] = []
  // Not strict: the errors of parseArgs neither suggest a flag nor mention --help.
  for (const token of parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { rawName, value, inlineValue = false } = token
    const flag = rawName === '-h' ? 'help' : known.find((one) => one === token.name)
    if (flag === undefined) {
      const all = known.map((one) => `--${one}`)
      throw unknownName('ERR_PARSE_ARGS_UNKNOWN_OPTION', 'flag', rawName, all, helpHint)
    }
    const isSwitch = typeOf(flag) === 'boolean'
    if (isSwitch && value !== undefined) {
      throw wrongUse('ERR_PARSE_ARGS_INVALID_OPTION_VALUE', `--${flag} takes no value.`)
    }
    // In `--user --chat c`, the value of --user was forgotten.
    if (!isSwitch && (value === undefined || (!inlineValue && value.startsWith('--')))) {
      throw wrongUse('ERR_PARSE_ARGS_INVALID_OPTION_VALUE', `--${flag} needs a value.`)
    }
    given[flag] = value ?? ''
    if (flag === 'header') headers.push(given[flag])
  }
  const [url = '', ...ids] = takesUrl ? positionals : ['', ...positionals]
  if (given.help === undefined && given.version === undefined) {
    if (takesUrl && url === '') {
      throw wrongUse('ERR_PARSE_ARGS_MISSING_POSITIONAL', 'The URL of the server is missing.')
    }
    // The message does not quote the argument, because it may be a key.
    if (!takesIds && ids.length > 0) {
      throw wrongUse('ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL', 'There are more arguments than this command takes.')
    }
  }
  return { url, ids, flags: given, headers }
}

function typeOf(flag: FlagName): 'string' | 'boolean' {
  return 'value' in FLAGS[flag] ? 'string' : 'boolean'
}

// A timer cannot wait longer.
const MOST_SECONDS = 2_147_483

/** Returns the value of a flag in ms, which the user gives in seconds; `undefined` without the flag. */
export function millisecondsOf({ flags }: Call, flag: FlagName, least: number): number | undefined {
  const value = flags[flag]
  if (value === undefined) return undefined
  const seconds = Number(value)
  if (value.trim() === '' || !(seconds >= least && seconds <= MOST_SECONDS)) {
    const range = `a number of seconds from ${least} to ${MOST_SECONDS}`
    throw new CommandError('ERR_PARSE_ARGS_INVALID_OPTION_VALUE', `--${flag} must be ${range}.`)
  }
  return Math.round(seconds * 1_000)
}

/** Returns the text of `--help`. */
export function helpOf({ name, summary, takesUrl, takesIds = false, flags, help = {} }: Syntax): string {
  const lines = [...flags, ...GLOBAL].map((flag) => {
    const { help: usual, value = '' }: Flag = FLAGS[flag]
    return `  ${`--${flag} ${value}`.padEnd(23)}${help[flag] ?? usual}`
  })
  const key = flags.includes('key')
    ? '\nThe key comes from TERMINAL_UPSTREAM_KEY or --key-file. Without them, the command asks for it on a terminal.\n'
    : ''
  const usage = [name, takesUrl && 'URL', takesIds && '[ID…]', '[flags]'].filter(Boolean).join(' ')
  return `terminal-upstream ${usage}\n\n${summary}\n${key}\n${lines.join('\n')}\n`
}

/** Returns the error for a name that does not exist. It suggests a similar name if there is one. */
export function unknownName(
  code: string,
  kind: string,
  name: string,
  known: readonly string[],
  helpHint: string,
): CommandError {
  const similar = findSimilar(name, known)
  const suggestion = similar === undefined ? '' : ` Did you mean ${similar}?`
  return new CommandError(code, `There is no ${kind} ${name.replaceAll(/[^\w-]/g, '?')}.${suggestion} ${helpHint}`)
}

/** Returns the name with the longest common beginning, which has two letters at least: most typos come later. */
function findSimilar(name: string, known: readonly string[]): string | undefined {
  const shortest = name.search(/\w/) + 2
  for (let length = name.length; length >= shortest; length -= 1) {
    const similar = known.find((one) => one.startsWith(name.slice(0, length)))
    if (similar !== undefined) return similar
  }
  return undefined
}
