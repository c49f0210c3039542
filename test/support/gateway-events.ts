import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { AttachedEvent, ClosedEvent, ParkedEvent, RefusedEvent, ResumedEvent } from '../../src/gateway.ts'
import { afterwards, withoutCanary } from './upstream.ts'

const NAMES = ['attached', 'closed', 'parked', 'refused', 'resumed'] as const
type Name = (typeof NAMES)[number]
type AnyEvent = AttachedEvent | ClosedEvent | ParkedEvent | RefusedEvent | ResumedEvent

/** Calls a function with what a channel publishes until the end of the test. No event may show a key or a token. */
function listenTo(name: Name, onEvent: (event: AnyEvent) => unknown): void {
  const listener = (event: unknown): void => void onEvent(withoutCanary(event as AnyEvent))
  subscribe(`terminal-upstream:${name}`, listener)
  afterwards({ close: () => unsubscribe(`terminal-upstream:${name}`, listener) })
}

/** Records what the channels publish until the end of the test. */
export function recordEvents(): Array<[name: Name, event: AnyEvent]> {
  const events: Array<[Name, AnyEvent]> = []
  for (const name of NAMES) listenTo(name, (event) => events.push([name, event]))
  return events
}

/** Records what is refused until the end of the test. */
export function recordRefusals(): RefusedEvent[] {
  const refusals: RefusedEvent[] = []
  listenTo('refused', (event) => refusals.push(event as RefusedEvent))
  return refusals
}
