import type { IncomingMessage } from 'node:http'
import { assertObject, wrongType } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable, withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import { KEEP_ALIVE_MS, MAX_BUFFERED_BYTES, readSettings, type ConnectTerminalOptions } from '../terminal/settings.ts'
import type { UpstreamOptions } from '../upstream/options.ts'
import type { ClientConnection } from './connection.ts'
import { LONGEST_TEXT_BYTES, readFirstMessage, type ClientAuth, type FirstMessage } from './messages.ts'
import type { ClientInput } from './input.ts'

/** What a client says of itself. Nothing of it is checked before `authorize`. */
export interface TerminalClient {
  /**
   * The token of the client, such as the user's JWT; `''` if it sends none. From the header `Authorization`, and for a
   * WebSocket from its auth frame, or else from the query parameter `token`.
   */
  readonly token: string
  /** The user that the client names, by the header `X-User-Id` or the query parameter `user_id`. Anyone can send it. */
  readonly userId?: string
  /** The chat, from the header `X-Session-Id`, or for a WebSocket from its auth frame. */
  readonly chatId?: string
  /** The orchestrator policy, from the path `/p/{policyId}` of a gateway. */
  readonly policyId?: string
  /** The orchestrator context, from the header `X-Terminal-Context-Id` or the query parameter `context_id`. */
  readonly contextId?: string
  /** The session of a gateway that the client asks for; absent when it lists its sessions or creates one. */
  readonly sessionId?: string
  /**
   * The client of a gateway wants to look on at `sessionId`, and cannot type: then you may return the `userId` of the
   * session's owner for somebody else, such as a support person. Absent for every other client, requests included.
   */
  readonly watch?: boolean
  /** The request, or the handshake of the WebSocket. */
  readonly request: IncomingMessage
}

/** A {@link TerminalClient} whose handshake may not be known. Nobody looks on at a proxy: each client types. */
export interface ProxiedClient extends Omit<TerminalClient, 'request' | 'watch'> {
  /** The handshake of the WebSocket; absent if it was not passed to `proxyTerminal`. */
  readonly request?: IncomingMessage
}

/** Returns what a client says of itself. `auth` is what the auth frame of a WebSocket says. */
export function describeClient(request: IncomingMessage | undefined, auth?: ClientAuth): ProxiedClient {
  const parameters = new URLSearchParams(/\?.*/s.exec(request?.url ?? '')?.[0])
  // An empty header is none (PROTOCOL 7.5).
  const header = (name: string): string | undefined => request?.headers[name]?.toString() || undefined
  const parameter = (name: string): string | undefined => parameters.get(name) || undefined
  const bearer = header('authorization')?.replace(/^bearer +/i, '')
  const token = auth?.token || bearer || (auth && parameter('token')) || ''
  const userId = header('x-user-id') ?? parameter('user_id')
  // Where both say one, the header counts, as on Open Terminal.
  const chatId = header('x-session-id') ?? auth?.chatId
  const contextId = header('x-terminal-context-id') ?? parameter('context_id')
  return {
    token,
    ...(userId !== undefined && { userId }),
    ...(chatId !== undefined && { chatId }),
    ...(contextId !== undefined && { contextId }),
    ...(request && { request }),
  }
}

/** The options of `connectTerminal` for the terminals of all clients that `authorize` lets in. */
export type TerminalOptions = Pick<
  ConnectTerminalOptions,
  'size' | 'timeout' | 'retry' | 'settle' | 'keepAlive' | 'maxBuffered' | 'tokenInUrl'
>

/** Reads each of these options once. */
function pickTerminalOptions(options: TerminalOptions): TerminalOptions & { keepAlive: number; maxBuffered: number } {
  const {
    size,
    timeout,
    retry,
    settle,
    keepAlive = KEEP_ALIVE_MS,
    maxBuffered = MAX_BUFFERED_BYTES,
    tokenInUrl,
  } = options
  return { size, timeout, retry, settle, keepAlive, maxBuffered, tokenInUrl }
}

/** The names of {@link TerminalOptions}. */
export const TERMINAL_OPTIONS: readonly string[] = Object.keys(pickTerminalOptions({}))

/** Reads these options, and checks them now, and not when the first client is let in. */
export function readTerminalOptions(options: TerminalOptions): ReturnType<typeof pickTerminalOptions> {
  const picked = pickTerminalOptions(options)
  readSettings({ ...picked, base: 'http://127.0.0.1', userId: 'nobody' })
  return picked
}

/** The default for the client's first message, and for `authorize`. */
export const AUTH_TIMEOUT_MS = 10_000

// What a client may send before its first message has come, and before it is authorized.
const UNKNOWN_LIMIT_BYTES = 2 * LONGEST_TEXT_BYTES
const UNAUTHORIZED_LIMIT_BYTES = 2 * MAX_BUFFERED_BYTES

/** Resolves with the answer of `ask`, or rejects with ERR_TERMINAL_TIMEOUT when it takes more than `timeout` ms. */
export function askToAuthorize<T>(
  timeout: number,
  signal: AbortSignalLike | undefined,
  ask: () => T | Promise<T>,
): Promise<T> {
  const late = (): TerminalError =>
    new TerminalError('ERR_TERMINAL_TIMEOUT', `\`authorize\` has not answered within ${timeout} ms (authTimeout)`)
  return withDeadline(timeout, signal, async () => ask(), late)
}

/**
 * Reads what `authorize` has returned, each field once and at once, because the object may change later. Only the
 * fields of `UpstreamOptions` are read, and `watchedBy` of a client that watches. `ignored` tells the operator of the
 * others, if there are any.
 */
export function readAuthorization(
  returned: UpstreamOptions & { readonly watchedBy?: string | undefined },
  isWatching = false,
): {
  readonly upstream: UpstreamOptions
  readonly watchedBy: string | undefined
  readonly ignored: string | undefined
} {
  assertObject('authorize()', returned)
  const { base, authType, key, userId, policyId, contextId, chatId, cookie, headers, signal } = returned
  const read = { base, authType, key, userId, policyId, contextId, chatId, cookie, headers }
  const upstream = { ...read, signal }
  const watchedBy = isWatching ? returned.watchedBy : undefined
  if (watchedBy !== undefined && typeof watchedBy !== 'string') throw wrongType('watchedBy', 'a string', watchedBy)
  const known = isWatching ? { ...upstream, watchedBy } : upstream
  const others = Object.keys(returned).filter((name) => !Object.hasOwn(known, name))
  // A name may come from a client, if `authorize` returns a copy of what it has sent.
  const names = others.slice(0, 5).map((name) => (/^\w{1,40}$/.test(name) ? `\`${name}\`` : 'a field of another name'))
  const advice = `It may return ${Object.keys(read).join(', ')}.`
  return {
    upstream,
    watchedBy,
    ignored: names.length > 0 ? `returned ${names.join(', ')}, which has no effect. ${advice}` : undefined,
  }
}

/** Resolves with the client's first message. Rejects if it is not an auth frame, or does not come in time. */
export async function receiveAuth(
  connection: ClientConnection,
  input: ClientInput,
  timeout: number,
  signal: AbortSignalLike,
): Promise<FirstMessage> {
  connection.limitBytes(UNKNOWN_LIMIT_BYTES)
  // The time limit of the first message.
  let timer: ReturnType<typeof setTimeout> | undefined
  const first = new Promise<FirstMessage | undefined>((resolve) => {
    timer = setTimeout(resolve, timeout, undefined)
    connection.deliverTo({
      push(data, isBinary) {
        connection.deliverTo(input)
        connection.limitBytes(UNAUTHORIZED_LIMIT_BYTES)
        resolve(readFirstMessage(data, isBinary))
      },
    })
  })
  const message = await abortable(first, signal).finally(() => clearTimeout(timer))
  if (message) return message
  const why = `The client has not sent {"type":"auth",…} as its first message within ${timeout} ms`
  throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', why, { closeReason: 'Auth timeout or invalid payload' })
}
