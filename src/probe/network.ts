import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { abortable } from '../lib/deadline.ts'

/** Where a URL leads, as sockets are told. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** Returns where the server of an http(s) URL listens. */
export function endpointOf({ hostname, port, protocol }: URL): Endpoint {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
}

/** Connects and hangs up; resolves with the address that answered. */
export async function reach(endpoint: Endpoint, signal: AbortSignal): Promise<string> {
  return visit(connect(endpoint), 'connect', signal, ({ remoteAddress = endpoint.host }) => remoteAddress)
}

/** Shakes hands and hangs up; resolves with what was agreed on. Rejects as a request over TLS would. */
export async function shakeHands(endpoint: Endpoint, signal: AbortSignal): Promise<string> {
  // An address is no server name (RFC 6066, section 3).
  const servername = /^[\d.]+$|:/.test(endpoint.host) ? {} : { servername: endpoint.host }
  const socket = connectTls({ ...endpoint, ...servername, ALPNProtocols: ['http/1.1'] })
  return visit(socket, 'secureConnect', signal, describeTls)
}

function describeTls(socket: TLSSocket): string {
  const until = Date.parse(socket.getPeerCertificate().valid_to)
  const days = Math.floor((until - Date.now()) / 86_400_000)
  return `${socket.getProtocol()}, certificate valid for ${days} more days`
}

async function visit<S extends Socket>(
  socket: S,
  event: string,
  signal: AbortSignal,
  describe: (socket: S) => string,
): Promise<string> {
  const visited = new Promise<string>((resolve, reject) => {
    socket.once(event, () => resolve(describe(socket)))
    socket.on('error', (error) => {
      // OpenSSL's message has the reason in the middle of much that is for its developers.
      if ('reason' in error) error.message = String(error.reason)
      reject(error)
    })
  })
  return abortable(visited, signal).finally(() => socket.destroy())
}
