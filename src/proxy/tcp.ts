import type { ClientSocket } from './client-socket.ts'

/** The part of a TCP or TLS socket that this package uses. */
interface TcpSocket {
  cork(): void
  uncork(): void
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown
  off(event: 'data', listener: (chunk: Uint8Array) => void): unknown
}

/** Returns the TCP socket under a socket of `ws`, which has no public property for it; `undefined` if a wrapper hides it. */
export function tcpSocketOf(client: ClientSocket): TcpSocket | undefined {
  const socket: unknown = Reflect.get(client, '_socket')
  return isTcpSocket(socket) ? socket : undefined
}

function isTcpSocket(socket: unknown): socket is TcpSocket {
  return typeof socket === 'object' && socket !== null && 'cork' in socket && 'uncork' in socket
}

/**
 * Returns a function that limits how many bytes a client may send, framing included, counted from the first limit on.
 * `undefined` removes the limit. Calls `onExceeded` when the client sends more.
 */
export function createByteLimit(client: ClientSocket, onExceeded: () => void): (limit: number | undefined) => void {
  const tcp = tcpSocketOf(client)
  // Bytes since the first limit.
  let received = 0
  // The limit in force.
  let most = Infinity
  const listener = ({ length }: Uint8Array): void => {
    received += length
    if (received > most) onExceeded()
  }
  return (limit) => {
    tcp?.off('data', listener)
    most = limit ?? Infinity
    if (limit !== undefined) tcp?.on('data', listener)
  }
}
