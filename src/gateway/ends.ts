import type { ProxyEnd } from '../proxy/client-session.ts'
import { withoutAddresses } from '../proxy/closing.ts'
import type { TerminalClose } from '../terminal/connection.ts'
import { parseBase } from '../upstream/url.ts'

/** How a client ends when another one of the owner has come: the owner's word, as both are. */
export const TAKEN_OVER: ProxyEnd = { endedBy: 'proxy', code: 4009, reason: 'Taken over' }

/** How a client ends that has got the last output of a shell that had ended before it came (PROTOCOL 8.7). */
export const EXITED: ProxyEnd = { endedBy: 'upstream', code: 1000, reason: 'exited' }

/** Whether a client with this close code may come again (PROTOCOL 8.5): its page has gone, or its connection was cut. */
export function isCutOff(code: number): boolean {
  return code === 1001 || code === 1006
}

const BAD_GATEWAY = 1014

/** Returns how a client ends whose terminal has closed. */
export function endOf({ code, reason, error }: TerminalClose, base: string): ProxyEnd {
  // PROTOCOL 6.1: these are about the key of the gateway, and would blame the client's.
  const isRefusal = code >= 4001 && code <= 4004
  return {
    endedBy: 'upstream',
    code: isRefusal ? BAD_GATEWAY : code,
    reason: isRefusal ? '' : withoutAddresses(reason, parseBase(base).url.hostname),
    ...(error && { error }),
  }
}
