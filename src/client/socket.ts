/** The part of a server-side WebSocket of `ws` that this package uses. Any copy of `ws` will do. */
export interface ClientSocket {
  /** Set to `nodebuffer`. */
  binaryType: string
  /** As in the WHATWG WebSocket standard. */
  readonly readyState: number
  /** Bytes that were given to `send` and have not left yet. */
  readonly bufferedAmount: number
  /** Sends a message; calls `sent` when it has left. */
  send(data: Uint8Array, options: { binary: boolean }, sent: (error?: Error | null) => void): void
  /** Sends a protocol ping (RFC 6455, section 5.5.2). */
  ping(): void
  /** Stops reading, so that the client has to stop sending. */
  pause(): void
  /** Starts reading again. */
  resume(): void
  /** Starts the closing handshake (RFC 6455, section 7). */
  close(code?: number, reason?: string): void
  /** Ends the connection at once. */
  terminate(): void
  /** As in Node's `EventEmitter`. */
  on(event: string, listener: (...details: never[]) => void): unknown
  /** As in Node's `EventEmitter`. */
  off(event: string, listener: (...details: never[]) => void): unknown
}

/** Returns whether a value looks like a socket of `ws`. JavaScript callers may pass anything. */
export function isSocket(value: unknown): value is ClientSocket {
  return typeof value === 'object' && value !== null && 'terminate' in value && 'readyState' in value
}

// Values of `readyState`.
export const OPEN = 1
export const CLOSED = 3
