import { assertObject } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { errorCode } from '../lib/errors.ts'
import { askToAuthorize } from '../client/authorize.ts'
import { buildUpstreamAuth } from '../upstream/auth.ts'
import { readUpstream, type UpstreamOptions } from '../upstream/resolve.ts'
import { buildUpstreamHttpUrl } from '../upstream/url.ts'
import { isRefused, WrongReturn } from './answers.ts'
import type { GatewayClient, GatewaySettings } from './options.ts'
import type { Owner } from './owner.ts'
import { kindOf, type Warnings } from './warnings.ts'

/** What `authorize` has allowed a client. */
export interface Authorization {
  readonly upstream: UpstreamOptions
  /** The owner of the sessions that the client may use. */
  readonly owner: Owner
}

// The fields of UpstreamOptions. The signal of a request of ours is our own.
const READ = ['base', 'authType', 'key', 'userId', 'policyId', 'contextId', 'chatId', 'cookie', 'headers']
const KNOWN: ReadonlySet<string> = new Set([...READ, 'signal'])

/** Asks `authorize` who a client is. */
export class Authorizer {
  readonly #settings: GatewaySettings
  readonly #warnings: Warnings
  // Whether the operator has been told of a field that has no effect.
  #hasWarned = false

  constructor(settings: GatewaySettings, warnings: Warnings) {
    this.#settings = settings
    this.#warnings = warnings
  }

  /** Resolves with what `authorize` returns. Rejects with what it throws, when it is late, and with a {@link WrongReturn}. */
  async ask(client: GatewayClient, signal: AbortSignalLike): Promise<Authorization> {
    const { authorize, authTimeout } = this.#settings
    let hasAnswered = false
    try {
      return await askToAuthorize(authTimeout, signal, async () => {
        try {
          return this.#read(await authorize(client))
        } finally {
          hasAnswered = true
        }
      })
    } catch (error) {
      // A client that leaves stops the asking, and is no failure.
      if (!signal.aborted) this.#warnOf(error, hasAnswered ? kindOf(error) : `no answer within ${authTimeout} ms`)
      throw error
    }
  }

  /** Warns of an error of `authorize` that is no refusal. */
  #warnOf(error: unknown, why: string): void {
    if (WrongReturn.is(error)) return this.#warnings.warn('TERMINAL_GATEWAY_RETURNED', error.message)
    if (isRefused(error)) return
    const advice =
      'Its clients are told to come again. The channel terminal-upstream:refused has the error. ' +
      'To refuse a client, throw a TerminalError, such as ERR_TERMINAL_UNAUTHORIZED.'
    this.#warnings.warn('TERMINAL_GATEWAY_FAILED', `\`authorize\` of a terminal gateway has failed: ${why}. ${advice}`)
  }

  /** Reads each field once and at once, because the object may change later. */
  #read(returned: UpstreamOptions): Authorization {
    let upstream: UpstreamOptions
    try {
      assertObject('the value of authorize', returned)
      const { base, authType, key, userId, policyId, contextId, chatId, cookie, headers } = returned
      upstream = { base, authType, key, userId, policyId, contextId, chatId, cookie, headers }
      this.#warnOfOthers(Object.keys(returned).filter((name) => !KNOWN.has(name)))
    } catch (error) {
      throw new WrongReturn(kindOf(error), error)
    }
    try {
      return check(upstream)
    } catch (error) {
      // What this package says names the field that is wrong, and shows no value. A getter may have thrown anything.
      const isOwn = error instanceof Error && /^ERR_(?:INVALID_ARG|TERMINAL)_/.test(String(errorCode(error)))
      throw new WrongReturn(isOwn ? error.message : kindOf(error), error)
    }
  }

  #warnOfOthers(names: readonly string[]): void {
    if (names.length === 0 || this.#hasWarned) return
    this.#hasWarned = true
    // A name may come from a client, if `authorize` returns a copy of what it has sent.
    const list = names.slice(0, 5).map((name) => (/^\w{1,40}$/.test(name) ? `\`${name}\`` : 'a field of another name'))
    this.#warnings.warn(
      'TERMINAL_GATEWAY_AUTHORIZE',
      `\`authorize\` of a terminal gateway returned ${list.join(', ')}, which has no effect. It may return ${READ.join(', ')}.`,
    )
  }
}

/** Checks all fields now: the sessions of the owner that live are renewed with them. */
function check(options: UpstreamOptions): Authorization {
  const { authType = 'bearer', key, ...rest } = options
  const { userId, chatId } = rest
  buildUpstreamAuth({ ...rest, authType, key: typeof key === 'function' ? undefined : key })
  const upstream = readUpstream(options)
  buildUpstreamHttpUrl(upstream.base, upstream)
  // One server has many spellings: with and without a slash at the end, as http and as ws.
  return { upstream, owner: { base: buildUpstreamHttpUrl(upstream.base, {}), userId, chatId } }
}
