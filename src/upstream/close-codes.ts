// The close codes of WebSockets: RFC 6455, section 7.4, and PROTOCOL 6.1.

export const CLOSE_NORMAL = 1000
export const CLOSE_GOING_AWAY = 1001
/** Never sent: the close frame had no code. */
export const CLOSE_NO_CODE = 1005
/** Never sent: the connection ended without a close frame. */
export const CLOSE_DROPPED = 1006
export const CLOSE_TOO_LARGE = 1009
export const CLOSE_SERVER_ERROR = 1011
export const CLOSE_RESTART = 1012
export const CLOSE_TRY_AGAIN = 1013
export const CLOSE_BAD_GATEWAY = 1014
export const CLOSE_UNAUTHORIZED = 4001
export const CLOSE_MISSING_USER = 4002
export const CLOSE_DENIED = 4003
export const CLOSE_NOT_FOUND = 4004
export const CLOSE_IN_USE = 4009

/**
 * The reasons of close frames that the servers, Open WebUI and a gateway are known to give, word for word
 * (PROTOCOL 6.8). Those that quote an id are not among them.
 */
export const KNOWN_REASONS: readonly string[] = [
  'Session not found',
  'Session has ended',
  'Session already connected',
  'Invalid API key',
  'Invalid token',
  'Auth timeout or invalid payload',
  'Auth failed',
  'Expected auth message',
  'Missing user_id',
  'user_id does not match authenticated identity',
  'Failed to resolve terminal instance',
  'Terminal instance not reachable',
  'context_id is too long',
  'context_id contains control characters',
  'only chat and automation contexts are supported',
  'keepalive ping timeout',
  'Access denied',
  'Terminal server not found',
  'Terminal server disabled',
  'Terminal server URL not configured',
  'Terminal server is not available in chats',
  'Tool servers are disabled',
  'A saved chat is required for this terminal',
  'Not authorized',
  'Not accepted by the terminal server',
  'Too many terminal sessions',
  'Service restart',
  'Taken over',
  'exited',
]

/** Returns the reason of an upstream's close frame, or `''` for a client if it may name a host or quote a key. */
export function reasonForClient(reason: string): string {
  return KNOWN_REASONS.includes(reason) ? reason : ''
}
