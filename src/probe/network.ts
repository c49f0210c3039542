import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { abortable } from '../lib/deadline.ts'

/** The host and port of a server, as `net.connect` takes them. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** Returns the host and port of an http(s) URL. */
export function endpointOf({ hostname, port, protocol }: URL): Endpoint {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}

/** Opens a TCP connection and closes it. Resolves with the address of the server. */
export async function reach(endpoint: Endpoint, signal: AbortSignalLike): Promise<string> {
  return visit(connect(endpoint), 'connect', signal, ({ remoteAddress = endpoint.host }) => remoteAddress)
}

/** Makes a TLS handshake and closes the connection. Resolves with a description; rejects as an HTTPS request does. */
export async function shakeHands(endpoint: Endpoint, signal: AbortSignalLike): Promise<string> {
  // An IP address must not be sent as the server name (RFC 6066, section 3).
  const servername = /^[\d.]+$|:/.test(endpoint.host) ? {} : { servername: endpoint.host }
  const socket = connectTls({ ...endpoint, ...servername, ALPNProtocols: ['http/1.1'] })
  return visit(socket, 'secureConnect', signal, describeTls)
}

function describeTls(socket: TLSSocket): string {
  const until = Date.parse(socket.getPeerCertificate().valid_to)
  const days = Math.floor((until - Date.now()) / 86_400_000)
  return `${socket.getProtocol()}, certificate valid for ${days} more days`
}

/** Waits for the event that tells that the connection is open, and closes the socket. */
async function visit<S extends Socket>(
  socket: S,
  event: string,
  signal: AbortSignalLike,
  describe: (socket: S) => string,
): Promise<string> {
  const visited = new Promise<string>((resolve, reject) => {
    socket.once(event, () => resolve(describe(socket)))
    socket.on('error', reject)
  })
  return abortable(visited, signal).finally(() => socket.destroy())
}
