import type { IncomingMessage } from 'node:http'
import { assertWhole, wrongType } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable, LONGEST_TIMER, withDeadline } from '../lib/deadline.ts'
import { TerminalError } from '../lib/errors.ts'
import { MAX_BUFFERED, type ConnectTerminalOptions } from '../terminal/settings.ts'
import type { ClientConnection } from './connection.ts'
import { LONGEST_TEXT_BYTES, readFirstMessage, type ClientAuth, type FirstMessage } from './messages.ts'
import type { ClientInput } from './input.ts'

/** How to find the upstream for a client from its first message. */
export interface AuthorizeOptions {
  /**
   * Gets what the client says of itself in its first message, `{"type":"auth","token":…,"chat_id":…}`, and returns the
   * upstream and its credentials, which the client never sees.
   *
   * Until it has answered, only the first message is parsed, which may have 64 KiB, and the client may send 2 MiB in all.
   * Check whose `chatId` it is: on Open Terminal up to 0.11 a chat is the id of its session, and a user who names the
   * chat of another user gets, or ends, that user's shell.
   *
   * A `TerminalError` that it throws picks the close code: `ERR_TERMINAL_UNAUTHORIZED` 4001, `ERR_TERMINAL_FORBIDDEN`
   * 4003, `ERR_TERMINAL_NOT_FOUND` 4004. The client is told its `closeReason`, and never its message. Any other value
   * that it throws closes the client with 4003 and no reason. The operator finds it as `error` in the summary: log that, for
   * no warning is given.
   */
  authorize: (auth: ClientAuth, request?: IncomingMessage) => ConnectTerminalOptions | Promise<ConnectTerminalOptions>
  /**
   * The client's handshake, for `authorize`.
   * @defaultValue none
   */
  request?: IncomingMessage | undefined
  /**
   * ms for the client's first message, and as many again for `authorize`, from 1 to 2147483647. As long
   * as Open WebUI waits, if you do not say otherwise.
   * @defaultValue 10 000 ms
   */
  authTimeout?: number | undefined
}

/** The default for the client's first message, and for `authorize`. */
export const AUTH_TIMEOUT_MS = 10_000

// What a client may send before its first message has come, and before it is authorized.
const UNKNOWN_LIMIT_BYTES = 2 * LONGEST_TEXT_BYTES
const UNAUTHORIZED_LIMIT_BYTES = 2 * MAX_BUFFERED

/** Waits for the client's first message, and asks `authorize` for the upstream. */
export async function authorizeClient(
  { authorize, request, authTimeout = AUTH_TIMEOUT_MS }: AuthorizeOptions,
  connection: ClientConnection,
  input: ClientInput,
  signal: AbortSignalLike,
): Promise<ConnectTerminalOptions> {
  if (typeof authorize !== 'function') throw wrongType('authorize', 'a function', authorize)
  assertWhole('authTimeout', authTimeout, 1, LONGEST_TIMER)
  const { auth } = await receiveAuth(connection, input, authTimeout, signal)
  return askToAuthorize(authTimeout, signal, () => authorize(auth, request))
}

/** Resolves with the answer of `ask`, or rejects with ERR_TERMINAL_TIMEOUT when it takes more than `timeout` ms. */
export function askToAuthorize<T>(
  timeout: number,
  signal: AbortSignalLike | undefined,
  ask: () => T | Promise<T>,
): Promise<T> {
  const late = (): TerminalError =>
    new TerminalError('ERR_TERMINAL_TIMEOUT', `\`authorize\` has not answered within ${timeout} ms`)
  return withDeadline(timeout, signal, async () => ask(), late)
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
  const why = `The client's first message was not an auth frame, or did not come within ${timeout} ms`
  throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', why, { closeReason: 'Auth timeout or invalid payload' })
}
