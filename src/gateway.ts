export { createTerminalGateway } from './gateway/create-gateway.ts'
export type { TerminalGateway } from './gateway/create-gateway.ts'

export type { GatewayAuthorization, TerminalGatewayOptions } from './gateway/options.ts'
export type { ScreenBuffer, ScreenClasses, ScreenSerializer, ScreenTerminal } from './screen/classes.ts'
export type { TerminalClient, TerminalOptions } from './client/authorize.ts'
export type { GatewaySession } from './gateway/gateway-session.ts'
export type { ScreenEvent } from './gateway/observer.ts'
export type {
  AttachedEvent,
  ClosedEvent,
  MovedBytes,
  ParkedEvent,
  RefusedEvent,
  RefusedReason,
  ResumedEvent,
  SessionEvent,
} from './gateway/events.ts'
