import type { ClientSocket } from './socket.ts'

/** The part of a TCP or TLS socket that this package uses. */
export interface TcpSocket {
  cork(): void
  uncork(): void
  resume(): unknown
  end(sent?: () => void): unknown
  destroy(): unknown
  removeAllListeners(event: 'data'): unknown
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown
  off(event: 'data', listener: (chunk: Uint8Array) => void): unknown
}

/**
 * Returns the TCP socket under a socket of `ws`, which has no public property for it; `undefined` if a wrapper hides
 * it.
 */
export function tcpSocketOf(client: ClientSocket): TcpSocket | undefined {
  const socket: unknown = Reflect.get(client, '_socket')
  return isTcpSocket(socket) ? socket : undefined
}

/**
 * Returns how many bytes the operating system has not taken of what was given to a socket. `bufferedAmount` counts a
 * message until all of it has been taken; the handle of Node counts its bytes.
 */
export function unsentBytes(client: ClientSocket): number {
  const handle: unknown = Reflect.get(Object(tcpSocketOf(client)), '_handle')
  const size: unknown = Reflect.get(Object(handle), 'writeQueueSize')
  return typeof size === 'number' && size > 0 ? size : client.bufferedAmount
}

function isTcpSocket(socket: unknown): socket is TcpSocket {
  return typeof socket === 'object' && socket !== null && 'cork' in socket && 'uncork' in socket
}

/** Limits how many bytes a client may send, framing included. Calls `onExceeded` when the client sends more. */
export class ByteLimit {
  readonly #tcp: TcpSocket | undefined
  readonly #onData: (chunk: Uint8Array) => void
  // Bytes since this limit was created.
  #received = 0
  #most = Infinity

  constructor(client: ClientSocket, onExceeded: () => void) {
    this.#tcp = tcpSocketOf(client)
    this.#onData = ({ length }) => {
      this.#received += length
      if (this.#received > this.#most) onExceeded()
    }
    this.#tcp?.on('data', this.#onData)
  }

  /** Changes how many bytes the client may send since this limit was created. */
  set(most: number): void {
    this.#most = most
  }

  /** Removes the limit. */
  stop(): void {
    this.#tcp?.off('data', this.#onData)
  }
}

/**
 * Ends a connection whose client is not listened to any more, after the close frame that has been sent. Goes on
 * reading, so that the close frame arrives while the client still sends, but drops what comes before ws would hold it.
 */
export function hangUp(client: ClientSocket): void {
  const tcp = tcpSocketOf(client)
  if (!tcp) return client.terminate()
  tcp.removeAllListeners('data')
  // Later: ws may just be about to pause it.
  process.nextTick(() => tcp.resume())
  tcp.end()
}

/** Ends a connection at once, but for what has been sent. */
export function cutOff(client: ClientSocket): void {
  const tcp = tcpSocketOf(client)
  if (!tcp) return client.terminate()
  tcp.end(() => tcp.destroy())
}
