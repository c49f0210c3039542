import { readFile, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { abortable } from '../lib/deadline.ts'
import { errorCode } from '../lib/errors.ts'
import type { AuthType } from '../upstream/auth.ts'
import type { UpstreamOptions } from '../upstream/options.ts'
import { unknownName, type Call } from './flags.ts'
import { CommandError, Interruption, type Host } from './host.ts'

const AUTH_TYPES = ['bearer', 'session', 'system_oauth', 'none'] as const

/** The server, and the user and key for it. */
export interface Target extends UpstreamOptions {
  readonly authType: AuthType
  readonly key: string | undefined
}

/** Reads the target from the flags, and the key from where it is. */
export async function readTarget(call: Call, host: Host, signal: AbortSignal): Promise<Target> {
  const { url: base, flags } = call
  if (!/^\w+:\/\//.test(base)) {
    throw new CommandError('Begin the URL with http:// or https://.', 'ERR_TERMINAL_INVALID_URL')
  }
  const authType = oneOf('--auth-type', AUTH_TYPES, flags['auth-type']) ?? 'bearer'
  const userId = flags.user ?? loginName()
  const headers = await findHeaders(call, host)
  const key = await findKey(call, host, signal)
  const { policy: policyId, context: contextId, chat: chatId } = flags
  return { base, authType, userId, key, headers, policyId, contextId, chatId, signal }
}

/** Returns the value of a flag. Throws if the flag does not take that value. */
export function oneOf<T extends string>(flag: string, known: readonly T[], value: string | undefined): T | undefined {
  if (value === undefined) return undefined
  const found = known.find((one) => one === value)
  if (found === undefined) {
    throw unknownName('ERR_INVALID_ARG_VALUE', flag, value, known, `There are ${known.join(', ')}.`)
  }
  return found
}

function loginName(): string {
  try {
    return userInfo().username
  } catch {
    // In a container, the user id may have no name.
    throw new CommandError('Say with --user whose terminal it is: this machine has no login name for you.')
  }
}

/** Reads the headers from `--header` and `--header-file`; `undefined` if there are none. The library checks them. */
async function findHeaders(call: Call, host: Host): Promise<Record<string, string> | undefined> {
  const { 'header-file': file } = call.flags
  const lines = file === undefined ? [] : (await readFlagFile('--header-file', file, host)).split(/[\r\n]+/)
  const headers = [
    ...call.headers.map((header) => parseHeader('--header', header)),
    ...lines.filter((line) => line.trim() !== '').map((line) => parseHeader('--header-file', line.trim())),
  ]
  const names = headers.map(([name]) => name.toLowerCase())
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new CommandError(`Give the header ${twice} once in --header and --header-file.`)
  return headers.length === 0 ? undefined : Object.fromEntries(headers)
}

/** Returns the name and the value. The error does not quote the header, because it may be a secret. */
function parseHeader(flag: string, header: string): [name: string, value: string] {
  const [, name, value = ''] = /^([\w!#$%&'*+.^`|~-]+):(.*)$/s.exec(header) ?? []
  if (name !== undefined) return [name, value.trim()]
  const example = "'CF-Access-Client-Id: 8f14e45f'"
  throw new CommandError(`${flag} wants a name, a colon and a value, such as ${example}.`)
}

/** Finds the key in the flags or the environment, or asks for it on a terminal; `undefined` stands for no key. */
async function findKey({ flags }: Call, host: Host, signal: AbortSignal): Promise<string | undefined> {
  const { key, 'key-file': file, 'auth-type': authType } = flags
  if (authType === 'none') return undefined
  if (key !== undefined && file !== undefined) {
    throw new CommandError('Give one of --key and --key-file, not both.')
  }
  if (key !== undefined) {
    host.stderr.write('terminal-upstream: ps shows --key to every user; better: TERMINAL_UPSTREAM_KEY or --key-file\n')
    return key
  }
  if (file !== undefined) return readFlagFile('--key-file', file, host)
  const inherited = host.env['TERMINAL_UPSTREAM_KEY']
  if (inherited !== undefined) return inherited
  return host.stdin.isTTY && host.stderr.isTTY ? askForKey(host, signal) : undefined
}

/** Asks for the key without an echo; the end of input stands for no key. */
async function askForKey({ stdin, stderr }: Host, signal: AbortSignal): Promise<string> {
  const noEcho = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output: noEcho, terminal: true })
  stderr.write('Key (Enter for none): ')
  try {
    const answer = new Promise<string>((resolve, reject) => {
      lines.once('line', resolve)
      // Ctrl-Z is ignored: readline would not continue after it.
      lines.on('SIGTSTP', () => {})
      lines.once('SIGINT', () => reject(new Interruption('SIGINT')))
      lines.once('close', () => resolve(''))
    })
    return await abortable(answer, signal)
  } finally {
    lines.close()
    stderr.write('\n')
  }
}

/** The permissions of all users but the owner. */
const OTHER_USERS = 0o077

/** Reads the file of a flag. If all of it is secret, says so when other users can read it, too. */
export async function readFlagFile(
  flag: string,
  file: string,
  { platform, stderr }: Host,
  isSecret = true,
): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    if (!isSecret) return text
    const stats = await stat(file)
    // Other users cannot read a pipe or a terminal later. Windows does not keep permissions in the mode.
    if (platform !== 'win32' && stats.isFile() && (stats.mode & OTHER_USERS) !== 0) {
      const mode = (stats.mode & 0o777).toString(8).padStart(3, '0')
      const advice = `better: chmod 600 ${file}`
      stderr.write(`terminal-upstream: ${flag} ${file} is open to other users, its mode is ${mode}; ${advice}\n`)
    }
    return text
  } catch (error) {
    const message = `Cannot read ${flag} ${file}: check that the file exists and that you may read it.`
    throw new CommandError(message, errorCode(error))
  }
}
