import { parseArgs } from 'node:util'
import { nearestOf } from '../lib/arguments.ts'
import { CommandError, type Host } from './host.ts'

/** The flags of all commands: the value in the help, `''` for a flag without one, and what the flag is for. */
const FLAGS = {
  user: ['ID', 'whose terminal it is; default: your login name'],
  'auth-type': ['TYPE', 'bearer (default), session, system_oauth or none'],
  policy: ['ID', "an orchestrator's policy"],
  context: ['ID', "an orchestrator's context: default, chat:… or automation:…"],
  chat: ['ID', 'the chat that the terminal belongs to'],
  session: ['ID', 'attach to this session, and do not delete it at the end'],
  'key-file': ['FILE', 'read the key from a file'],
  key: ['KEY', 'the key, which ps shows to every user of this machine'],
  'header-file': ['FILE', 'read headers for what stands in front of the server, one a line; for secrets'],
  header: ['HEADER', "one such header, 'Name: value', which ps shows to every user; may be repeated"],
  'show-key': ['', 'print the key and the values of the query instead of ***'],
  'token-in-url': [
    'WHEN',
    'whether the key may be in the URL: fallback (default, only if the server refuses without it), always or never',
  ],
  'keep-alive': ['SECONDS', 'how long a silence lasts before a heartbeat is sent, 0 for no heartbeat; default: 30'],
  timeout: ['SECONDS', 'how long to wait for the server; default: 30'],
  idle: ['SECONDS', 'how long to keep a connection silent, to see whether it is cut; default: 65'],
  origin: ['URL', 'test as a page at this address does, such as https://chat.example; default: no page'],
  json: ['', 'print JSON'],
  all: ['', 'delete every session that list shows'],
  cwd: ['DIR', 'the folder to run in; default: the home of the user on the server'],
  'env-file': ['FILE', 'read variables for the command from a file, one NAME=value a line'],
  help: ['', 'print this help'],
  version: ['', 'print the version'],
} as const

export type FlagName = keyof typeof FLAGS

/** The flags that say which terminal it is, and may be shown to everyone. */
export const SHOWN_FLAGS: readonly FlagName[] = ['user', 'auth-type', 'policy', 'context', 'chat', 'key-file']

/** The flags of every command that sends something to a server. */
export const TARGET_FLAGS: readonly FlagName[] = [...SHOWN_FLAGS, 'key', 'header-file', 'header', 'timeout']

/** The arguments of a command. */
export interface Call {
  readonly url: string
  /** The arguments after the URL, or after `--` for a command that takes a remote one. */
  readonly rest: readonly string[]
  /** The values of the flags, `''` for a flag without a value. */
  readonly flags: Readonly<Partial<Record<FlagName, string>>>
  /** Every value of `--header`. */
  readonly headers: readonly string[]
}

/** A command: the arguments that it takes, and its help. */
export interface Command {
  readonly name: string
  /** What the command does, for its help. */
  readonly summary: string
  /** Whether the first argument is a URL. */
  readonly takesUrl: boolean
  /** Whether ids may follow the URL. */
  readonly takesIds?: boolean
  /** Whether `--` and a remote command must follow the URL. */
  readonly takesRemote?: boolean
  readonly flags: readonly FlagName[]
  /** The help of flags that mean something else in this command. */
  readonly help?: Readonly<Partial<Record<FlagName, string>>>
  /** Runs the command. Resolves with the exit status. */
  readonly run: (call: Call, host: Host, signal: AbortSignal) => Promise<number>
}

const GLOBAL: readonly FlagName[] = ['help', 'version']

/** Reads the arguments after the name of a command. */
export function readCall(
  { name, takesUrl, takesIds = false, takesRemote = false, flags }: Command,
  args: readonly string[],
): Call {
  const known = [...flags, ...GLOBAL]
  const options = Object.fromEntries(known.map((flag) => [flag, { type: typeOf(flag) }]))
  const helpHint = `See terminal-upstream ${name} --help.`
  const wrongUse = (code: string, problem: string) => new CommandError(`${problem} ${helpHint}`, code)
  const given: Partial<Record<FlagName, string>> = {}
  const headers: string[] = []
  const positionals: string[] = []
  let remote: string[] | undefined
  const noRemote = (): CommandError => {
    const problem = `Write the command for the server after --, such as terminal-upstream ${name} URL -- npm test.`
    return wrongUse('ERR_PARSE_ARGS_MISSING_POSITIONAL', problem)
  }
  // Not strict: the errors of parseArgs neither suggest a flag nor mention --help.
  for (const token of parseArgs({ args: [...args], options, strict: false, tokens: true }).tokens) {
    if (token.kind === 'option-terminator' && takesRemote) remote = []
    if (token.kind === 'positional') {
      // At once: the flags that follow are those of the command.
      if (takesRemote && !remote && positionals.length > 0) throw noRemote()
      const list = remote ?? positionals
      list.push(token.value)
    }
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
  const rest = remote ?? ids
  if (given.help === undefined && given.version === undefined) {
    if (takesUrl && url === '') {
      throw wrongUse('ERR_PARSE_ARGS_MISSING_POSITIONAL', 'The URL of the server is missing.')
    }
    // The message does not quote the argument, because it may be a key.
    if (!takesIds && ids.length > 0) {
      throw wrongUse('ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL', 'There are more arguments than this command takes.')
    }
    if (takesRemote && rest.join('').trim() === '') throw noRemote()
  }
  return { url, rest, flags: given, headers }
}

function typeOf(flag: FlagName): 'string' | 'boolean' {
  return FLAGS[flag][0] === '' ? 'boolean' : 'string'
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
    throw new CommandError(`--${flag} must be ${range}.`, 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE')
  }
  return Math.round(seconds * 1_000)
}

/** Returns the text of `--help`. */
export function helpOf(command: Command): string {
  const { name, summary, takesUrl, takesIds = false, takesRemote = false, flags, help = {} } = command
  const lines = [...flags, ...GLOBAL].map((flag) => {
    const [value, usual] = FLAGS[flag]
    return `  ${`--${flag} ${value}`.padEnd(23)}${help[flag] ?? usual}`
  })
  const key = flags.includes('key')
    ? '\nThe key comes from TERMINAL_UPSTREAM_KEY or --key-file. Without them, the command asks for it on a terminal.\n'
    : ''
  const words = [name, takesUrl && 'URL', takesIds && '[ID…]', '[flags]', takesRemote && '-- COMMAND…']
  const usage = words.filter(Boolean).join(' ')
  return `terminal-upstream ${usage}\n\n${summary}\n${key}\n${lines.join('\n')}\n`
}

// Of a name that is worth a suggestion. Two that differ in one letter of five have 0.8 or more.
const LEAST_LIKENESS = 0.75

/** Returns the error for a name that does not exist. It suggests a similar name if there is one. */
export function unknownName(
  code: string,
  kind: string,
  name: string,
  known: readonly string[],
  helpHint: string,
): CommandError {
  const similar = nearestOf(known, name, LEAST_LIKENESS)
  const suggestion = similar && ` Did you mean ${similar}?`
  return new CommandError(`There is no ${kind} ${name.replaceAll(/[^\w-]/g, '?')}.${suggestion} ${helpHint}`, code)
}
