export { createTerminalGateway } from './gateway/create-gateway.ts'
export type { TerminalGateway } from './gateway/create-gateway.ts'

export type { GatewayClient, TerminalGatewayOptions } from './gateway/options.ts'
export type { GatewaySession } from './gateway/events.ts'
export type {
  AttachedEvent,
  ClosedEvent,
  ParkedEvent,
  RefusedEvent,
  RefusedReason,
  ResumedEvent,
} from './gateway/events.ts'
