import type { ProxyEnd } from '../client/client.ts'
import type { TerminalClose } from '../terminal/types.ts'
import {
  CLOSE_BAD_GATEWAY,
  CLOSE_DENIED,
  CLOSE_DROPPED,
  CLOSE_GOING_AWAY,
  CLOSE_IN_USE,
  CLOSE_MISSING_USER,
  CLOSE_NORMAL,
  CLOSE_NOT_FOUND,
  CLOSE_RESTART,
  CLOSE_TRY_AGAIN,
  CLOSE_UNAUTHORIZED,
  reasonForClient,
} from '../upstream/close-codes.ts'
import { NOT_ACCEPTED } from '../upstream/failures.ts'

/** How a client ends when the gateway closes. */
export const RESTART: ProxyEnd = { endedBy: 'proxy', code: CLOSE_RESTART, reason: 'Service restart' }

/** How a client ends when there are too many strangers. */
export const BUSY: ProxyEnd = { endedBy: 'proxy', code: CLOSE_TRY_AGAIN, reason: 'Too many clients are waiting' }

/** How a client ends when `authorize` has not answered. */
export const NOT_NOW: ProxyEnd = { endedBy: 'proxy', code: CLOSE_TRY_AGAIN, reason: 'Not authorized, try again later' }

/** How one more client ends that wants to look on at a session. Others may leave, so it may come again. */
export const TOO_MANY_WATCHERS: ProxyEnd = {
  endedBy: 'proxy',
  code: CLOSE_TRY_AGAIN,
  reason: 'Too many clients look on',
  error: new Error('As many clients as may look on at a session do so already'),
}

/** How a client ends that looks on and takes nothing. It may come again. */
export const TOO_SLOW: ProxyEnd = { endedBy: 'proxy', code: CLOSE_TRY_AGAIN, reason: 'Too slow' }

/** How a client ends when another one of the owner has come: the owner's word, as both are. */
export const TAKEN_OVER: ProxyEnd = { endedBy: 'proxy', code: CLOSE_IN_USE, reason: 'Taken over' }

/** How a client ends that has got the last output of a shell that had ended before it came (PROTOCOL 8.7). */
export const EXITED: ProxyEnd = { endedBy: 'upstream', code: CLOSE_NORMAL, reason: 'exited' }

/** Whether a client with this close code may come again (PROTOCOL 8.5): its page is gone, or its connection was cut. */
export function isCutOff(code: number): boolean {
  return code === CLOSE_GOING_AWAY || code === CLOSE_DROPPED
}

const BAD_GATEWAY = { code: CLOSE_BAD_GATEWAY, reason: '' }
// The upstream does not accept the token of the user, or what the operator has given it (PROTOCOL 8.8).
const OF_USER = { code: CLOSE_UNAUTHORIZED, reason: 'Not authorized' }
const FOR_OPERATOR = { code: CLOSE_DENIED, reason: NOT_ACCEPTED }

// These are about what the gateway has sent, and would blame the client (PROTOCOL 6.1).
const ABOUT_GATEWAY = [CLOSE_MISSING_USER, CLOSE_DENIED, CLOSE_NOT_FOUND]

/** How a client ends whose `authorize` has returned what cannot be used. */
export function endOfWrongReturn(error: Error): ProxyEnd {
  return { endedBy: 'proxy', ...FOR_OPERATOR, error }
}

/** Returns how a client ends whose terminal has closed. `areUsers` says that the credentials are the user's own. */
export function endOf(close: TerminalClose, areUsers: boolean): ProxyEnd {
  return { endedBy: 'upstream', ...frameFor(close, areUsers), ...(close.error && { error: close.error }) }
}

function frameFor({ code, reason }: TerminalClose, areUsers: boolean): Pick<ProxyEnd, 'code' | 'reason'> {
  if (code === CLOSE_UNAUTHORIZED) return areUsers ? OF_USER : FOR_OPERATOR
  if (ABOUT_GATEWAY.includes(code)) return BAD_GATEWAY
  return { code, reason: reasonForClient(reason) }
}
