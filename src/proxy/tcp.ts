import type { ClientSocket } from './client-socket.ts'

/** The part of a TCP or TLS socket that this package uses. */
interface TcpSocket {
  cork(): void
  uncork(): void
  on(event: 'data', listener: (chunk: Uint8Array) => void): unknown
  off(event: 'data', listener: (chunk: Uint8Array) => void): unknown
}

/** Returns the socket under a client of `ws`, which has no public name for it; other clients may hide theirs. */
export function tcpOf(client: ClientSocket): TcpSocket | undefined {
  const socket: unknown = Reflect.get(client, '_socket')
  return isTcpSocket(socket) ? socket : undefined
}

function isTcpSocket(socket: unknown): socket is TcpSocket {
  return typeof socket === 'object' && socket !== null && 'cork' in socket && 'uncork' in socket
}

/**
 * Returns a function that sets a limit on the bytes that a client sends from the first call on, framing included;
 * `exceeded` is called when there are more. `undefined` takes the limit away.
 */
export function limitBytes(client: ClientSocket, exceeded: () => void): (most: number | undefined) => void {
  const tcp = tcpOf(client)
  // Bytes since the first limit.
  let count = 0
  let limit = Infinity
  const listener = ({ length }: Uint8Array): void => {
    count += length
    if (count > limit) exceeded()
  }
  return (most) => {
    tcp?.off('data', listener)
    limit = most ?? Infinity
    if (most !== undefined) tcp?.on('data', listener)
  }
}
