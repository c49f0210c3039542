import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { AttachedEvent, ClosedEvent, ParkedEvent, RefusedEvent, ResumedEvent } from '../../src/gateway.ts'
import { afterwards, withoutCanary } from './upstream.ts'

const NAMES = ['attached', 'closed', 'parked', 'refused', 'resumed'] as const
type Name = (typeof NAMES)[number]
type AnyEvent = AttachedEvent | ClosedEvent | ParkedEvent | RefusedEvent | ResumedEvent

/** Records what the channels publish until the end of the test. No event may show a key or a token. */
export function recordEvents(): Array<[name: Name, event: AnyEvent]> {
  const events: Array<[Name, AnyEvent]> = []
  for (const name of NAMES) {
    const listener = (event: unknown): void => void events.push([name, withoutCanary(event as AnyEvent)])
    subscribe(`terminal-upstream:${name}`, listener)
    afterwards({ close: () => unsubscribe(`terminal-upstream:${name}`, listener) })
  }
  return events
}

/** Records what is refused until the end of the test. */
export function recordRefusals(): RefusedEvent[] {
  const refusals: RefusedEvent[] = []
  const listener = (event: unknown): void => void refusals.push(withoutCanary(event as RefusedEvent))
  subscribe('terminal-upstream:refused', listener)
  afterwards({ close: () => unsubscribe('terminal-upstream:refused', listener) })
  return refusals
}
