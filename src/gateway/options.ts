import { assertKnown, assertObject, assertWhole, wrongType, wrongValue } from '../lib/arguments.ts'
import { LONGEST_TIMER_MS } from '../lib/deadline.ts'
import {
  AUTH_TIMEOUT_MS,
  readTerminalOptions,
  TERMINAL_OPTIONS,
  type TerminalClient,
  type TerminalOptions,
} from '../client/authorize.ts'
import type { ScreenClasses } from '../screen/classes.ts'
import type { UpstreamOptions } from '../upstream/options.ts'

/** What `authorize` of a gateway returns: the upstream, its credentials, and the user who owns the sessions. */
export interface GatewayAuthorization extends UpstreamOptions {
  /**
   * Who looks on, for the events. Read only if `client.watch` is `true`.
   *
   * **Return another user's `userId` only then.** The same token comes with a DELETE, too, which has no `watch`.
   */
  watchedBy?: string | undefined
}

/** The options of {@link createTerminalGateway}. Only `authorize` is required. */
export interface TerminalGatewayOptions extends TerminalOptions {
  /**
   * Finds out who asks, and returns the upstream, its credentials and the user. Called for every request and every
   * WebSocket, before anything else happens for it.
   *
   * The `userId` that it returns, and not the one that the client names, is the owner of a session; so is the `chatId`,
   * if it returns one. A session is found only by its owner, through the same `base`, however that is spelled. Only the
   * fields of `UpstreamOptions` are read, at once; others have no effect, and are named in a warning of the process.
   * `key`, `cookie`, `headers` and `authType` also renew those of the user's sessions; after a 401 of the upstream,
   * those before are tried.
   *
   * A `TerminalError` that it throws refuses the client, who is never told its message: `ERR_TERMINAL_UNAUTHORIZED`
   * with HTTP 401 or close code 4001, `ERR_TERMINAL_FORBIDDEN` with 403 or 4003, `ERR_TERMINAL_NOT_FOUND` with 404 or
   * 4004, `ERR_TERMINAL_MISSING_USER` with 422 or 4002, `ERR_TERMINAL_LIMIT` with 429 or 4003. Anything else that it
   * throws, such as the error of a database, is answered with 503 or 1013, and so is one that does not answer within
   * `authTimeout`: the client comes again. What it returns and is no `UpstreamOptions` is answered with 500 or 4003,
   * which no client retries, and so is a 401 of the upstream, unless `authType` is `session` or `system_oauth`: then
   * the token is the user's, who gets 401 or 4001. Each of these, but the user's, is a warning of the process, at most
   * once a minute.
   */
  authorize: (client: TerminalClient) => GatewayAuthorization | Promise<GatewayAuthorization>
  /**
   * The path before `/api/terminals`, such as `/terminal`.
   * @defaultValue `''`
   */
  path?: string | undefined
  /**
   * The pages that may use the gateway, by their `Origin`: `'same'` for those of the host and port in `Host`, `'any'`,
   * or a list such as `['https://chat.example']`. A client without an `Origin` is no page, and may always use it.
   * @defaultValue `'same'`
   */
  origins?: 'same' | 'any' | readonly string[] | undefined
  /**
   * ms that a session goes on after its client has left, however that happened, from 0 to 2147483647. Until then, a
   * client of the same owner can join it again. 0 ends it at once.
   * @defaultValue 300 000 ms
   */
  keepFor?: number | undefined
  /**
   * Bytes of output that are kept of each session for a client that comes back, from 0 to 8388608. The memory is taken
   * as it is needed.
   * @defaultValue 256 KiB
   */
  replayBytes?: number | undefined
  /**
   * The sessions that a user may have at the same time. When one more has been created, the session that was left first
   * ends. If none was left, one more is answered with 429.
   * @defaultValue 8
   */
  maxSessionsPerUser?: number | undefined
  /**
   * The WebSockets and requests that `authorize` has not let in. A WebSocket counts until its connection has ended.
   * When one more comes, a WebSocket that has not said who it is, or has been refused, is closed with 1013, chosen at
   * random; if there is none, the new one is answered with 503.
   * @defaultValue 1 000
   */
  maxUnauthenticated?: number | undefined
  /**
   * ms for the auth frame of a WebSocket, and as many again for `authorize`, from 1 to 2147483647.
   * @defaultValue 10 000 ms
   */
  authTimeout?: number | undefined
  /**
   * ms between two calls of `authorize` for a client that stays, less a random tenth at most, from 0 to 2147483647; 0
   * asks once. So an open shell does not outlive its login for long.
   *
   * With ERR_TERMINAL_UNAUTHORIZED, the client is closed with 4001, and the session is parked: a client whose `key` is
   * a function comes back with a new one. With ERR_TERMINAL_FORBIDDEN, or the `userId` of another user, the session
   * ends with 4003. A client that only looks on loses no more than its connection. Anything else, such as an error of a
   * database, waits for the next time. The handshakes of all clients stay in memory.
   * @defaultValue 0
   */
  recheckEvery?: number | undefined
  /**
   * What the ids of its sessions begin with: `name.uuid` instead of `uuid`. 1 to 32 of the characters a-z, 0-9 and `-`.
   * So whatever stands in front of several gateways can tell from an id which of them has the session.
   * @defaultValue `''`
   */
  name?: string | undefined
  /**
   * Whether a POST without `?resume=0` gets a shell that its user has left, if there is one: of the same chat, policy
   * and context, as `authorize` returns them, and the last that was left. For clients that cannot name a session, such
   * as Open WebUI. `connectTerminal` always gets a new one.
   *
   * The session is kept 30 s for the client that has got it, and `keepFor` stands still meanwhile. A DELETE before that
   * client attaches gives it back. After 2 s without it, the next POST gets the session: the client has failed.
   * @defaultValue `false`
   */
  resumeOnCreate?: boolean | undefined
  /**
   * The classes of `@xterm/headless` and `@xterm/addon-serialize`. They draw the whole screen of a session for a client
   * whose output is not kept any more, also in a window of another size. Without them, such a client gets what is kept,
   * which may show less.
   * @example
   * import xterm from '@xterm/headless'
   * import serialize from '@xterm/addon-serialize'
   *
   * createTerminalGateway({ authorize, screen: { ...xterm, ...serialize } })
   */
  screen?: ScreenClasses | undefined
}

type OwnOptions = Omit<TerminalGatewayOptions, keyof TerminalOptions>

/** The options of a gateway, checked, with all defaults filled in. */
export type GatewaySettings = {
  readonly [Name in keyof Omit<OwnOptions, 'screen'>]-?: Exclude<OwnOptions[Name], undefined>
} & {
  readonly screen: ScreenClasses | undefined
  readonly keepAlive: number
  readonly maxBuffered: number
  readonly connect: TerminalOptions
}

// The replay is one message, of which clients take at most 16 MiB.
const LARGEST_REPLAY_BYTES = 8 * 1024 * 1024

/** Checks the options of a gateway, and reads each of them once. */
export function readGatewayOptions(options: TerminalGatewayOptions): GatewaySettings {
  assertObject('options', options)
  const {
    authorize,
    path = '',
    origins = 'same',
    keepFor = 300_000,
    replayBytes = 256 * 1024,
    maxSessionsPerUser = 8,
    maxUnauthenticated = 1_000,
    authTimeout = AUTH_TIMEOUT_MS,
    recheckEvery = 0,
    name = '',
    resumeOnCreate = false,
    screen,
  } = options
  const limits = { keepFor, replayBytes, maxSessionsPerUser, maxUnauthenticated, authTimeout, recheckEvery }
  const own = { authorize, path, name, resumeOnCreate, ...limits }
  assertKnown('createTerminalGateway', options, [...Object.keys({ ...own, origins, screen }), ...TERMINAL_OPTIONS])
  const connect = readTerminalOptions(options)
  if (typeof authorize !== 'function') throw wrongType('authorize', 'a function', authorize)
  if (typeof path !== 'string') throw wrongType('path', 'a string', path)
  if (!/^(?:\/[^/?#]+)*$/.test(path)) throw wrongValue('path', "must be '' or like '/a/b', without '//', '?' or '#'")
  assertOrigins(origins)
  assertWhole('keepFor', keepFor, 0, LONGEST_TIMER_MS)
  assertWhole('replayBytes', replayBytes, 0, LARGEST_REPLAY_BYTES)
  assertWhole('maxSessionsPerUser', maxSessionsPerUser, 1, Number.MAX_SAFE_INTEGER)
  assertWhole('maxUnauthenticated', maxUnauthenticated, 1, Number.MAX_SAFE_INTEGER)
  assertWhole('authTimeout', authTimeout, 1, LONGEST_TIMER_MS)
  assertWhole('recheckEvery', recheckEvery, 0, LONGEST_TIMER_MS)
  if (options.name !== undefined) assertName(name)
  if (typeof resumeOnCreate !== 'boolean') throw wrongType('resumeOnCreate', 'a boolean', resumeOnCreate)
  const { keepAlive, maxBuffered } = connect
  return {
    ...own,
    origins: typeof origins === 'string' ? origins : [...origins],
    screen: screen === undefined ? undefined : readClasses(screen),
    keepAlive,
    maxBuffered,
    connect,
  }
}

function assertName(name: unknown): void {
  if (typeof name !== 'string') throw wrongType('name', 'a string', name)
  if (!/^[a-z0-9-]{1,32}$/.test(name)) throw wrongValue('name', 'must have 1 to 32 of the characters a-z, 0-9 and -')
}

function assertOrigins(origins: unknown): void {
  if (origins === 'same' || origins === 'any') return
  if (!Array.isArray(origins)) throw wrongType('origins', "'same', 'any' or a list", origins)
  for (const origin of origins) {
    if (origin !== 'null' && !(URL.canParse(origin) && new URL(origin).origin === origin)) {
      throw wrongValue('origins', 'must have only origins, such as https://chat.example')
    }
  }
}

/** Reads each class once. */
function readClasses(screen: ScreenClasses): ScreenClasses {
  assertObject('screen', screen)
  const { Terminal, SerializeAddon } = screen
  for (const [name, value] of Object.entries({ Terminal, SerializeAddon })) {
    const origin = name === 'Terminal' ? '@xterm/headless' : '@xterm/addon-serialize'
    if (typeof value !== 'function') throw wrongType(`screen.${name}`, `the class of that name of ${origin}`, value)
  }
  return { Terminal, SerializeAddon }
}
