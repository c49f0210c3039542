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
