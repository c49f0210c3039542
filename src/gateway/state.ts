import type { Authorizer } from './authorization.ts'
import type { Deletions } from './deletions.ts'
import type { GatewaySettings } from './options.ts'
import type { Sessions } from './sessions.ts'
import type { Strangers } from './strangers.ts'
import type { Warnings } from './warnings.ts'

/** What the requests and the WebSockets of a gateway share. */
export interface GatewayState {
  readonly settings: GatewaySettings
  readonly authorizer: Authorizer
  readonly sessions: Sessions
  readonly strangers: Strangers
  readonly deletions: Deletions
  readonly warnings: Warnings
}
