import { userInfo } from 'node:os'
import type { AuthType } from '../upstream/auth.ts'
import type { UpstreamOptions } from '../upstream/resolve.ts'
import { unknownName, CommandError, type Call, type FlagName } from './flags.ts'
import type { Host } from './host.ts'
import { findHeaders } from './headers.ts'
import { findKey } from './key.ts'

/** The flags of every command that sends something to a server. */
export const TARGET_FLAGS: readonly FlagName[] = [
  'user',
  'auth-type',
  'policy',
  'context',
  'chat',
  'key-file',
  'key',
  'header-file',
  'header',
  'timeout',
]

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
    throw new CommandError('ERR_TERMINAL_INVALID_URL', 'Begin the URL with http:// or https://.')
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
    throw new CommandError(
      'ERR_INVALID_ARG_VALUE',
      'Say with --user whose terminal it is: this machine has no login name for you.',
    )
  }
}

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
}

/** Replaces the library's options in a message by the flags of the command. */
export function withFlagNames(text: string): string {
  return text.replaceAll(/`(\w+)(?:\.([^`]+))?`/g, (quoted, name: string, part?: string) => {
    const flag = FLAG_OF[name]
    if (flag === undefined) return quoted
    return part === undefined ? flag : `${flag} ${part}`
  })
}
