import { assertHeaderValue, assertObject } from '../lib/arguments.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { askToAuthorize } from '../proxy/authorize.ts'
import { readUpstream, type UpstreamOptions } from '../upstream/resolve.ts'
import { buildUpstreamHttpUrl } from '../upstream/url.ts'
import { WrongReturn } from './answers.ts'
import type { GatewayClient, GatewaySettings } from './options.ts'
import type { Owner } from './owner.ts'

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
  // Whether the operator has been told of a field that has no effect.
  #hasWarned = false

  constructor(settings: GatewaySettings) {
    this.#settings = settings
  }

  /** Resolves with what `authorize` returns. Rejects with what it throws, when it is late, and with a {@link WrongReturn}. */
  ask(client: GatewayClient, signal: AbortSignalLike): Promise<Authorization> {
    const { authorize, authTimeout } = this.#settings
    return askToAuthorize(authTimeout, signal, async () => {
      const returned = await authorize(client)
      try {
        return this.#read(returned)
      } catch (error) {
        throw new WrongReturn(error)
      }
    })
  }

  /** Reads each field once and at once, because the object may change later. */
  #read(returned: UpstreamOptions): Authorization {
    assertObject('the value of authorize', returned)
    const { base, authType, key, userId, policyId, contextId, chatId, cookie, headers } = returned
    assertHeaderValue('userId', userId)
    const upstream = readUpstream({ base, authType, key, userId, policyId, contextId, chatId, cookie, headers })
    this.#warnOfOthers(Object.keys(returned).filter((name) => !KNOWN.has(name)))
    // One server has many spellings: with and without a slash at the end, as http and as ws.
    return { upstream, owner: { base: buildUpstreamHttpUrl(upstream.base, {}), userId, chatId } }
  }

  #warnOfOthers(names: readonly string[]): void {
    if (names.length === 0 || this.#hasWarned) return
    this.#hasWarned = true
    const list = names.slice(0, 5).map((name) => `\`${name}\``)
    process.emitWarning(
      `\`authorize\` of a terminal gateway returned ${list.join(', ')}, which has no effect. It may return ${READ.join(', ')}.`,
      { type: 'TerminalGatewayWarning', code: 'TERMINAL_GATEWAY_AUTHORIZE' },
    )
  }
}
