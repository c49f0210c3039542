/** The part of a server-side WebSocket of `ws` that this package uses; yours need not be of the same copy of `ws`. */
export interface ClientSocket {
  /** Set to `nodebuffer`. */
  binaryType: string
  /** As in the WHATWG WebSocket standard. */
  readonly readyState: number
  /** Bytes that have been sent but not left yet. */
  readonly bufferedAmount: number
  /** Calls back when it has left. */
  send(data: Uint8Array, options: { binary: boolean }, sent: (error?: Error | null) => void): void
  /** Sends a protocol ping (RFC 6455, section 5.5.2). */
  ping(): void
  /** Stops reading, so that the client has to stop sending. */
  pause(): void
  /** Goes on reading. */
  resume(): void
  /** Starts the closing handshake (RFC 6455, section 7). */
  close(code?: number, reason?: string): void
  /** Ends the connection at once. */
  terminate(): void
  /** As Node's event emitters. */
  on(event: string, listener: (...details: never[]) => void): unknown
  /** As Node's event emitters. */
  off(event: string, listener: (...details: never[]) => void): unknown
}

/** Whether it can be one: JavaScript lets anything be passed. */
export function isSocket(client: unknown): client is ClientSocket {
  return typeof client === 'object' && client !== null && 'terminate' in client && 'readyState' in client
}

/** The `readyState` of a socket that is open. */
export const OPEN = 1
