import { ServerResponse, STATUS_CODES, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { publish, type RefusedEvent } from './events.ts'

/** What a page is told that may not use the gateway (PROTOCOL 8.9). */
export const ORIGIN_NOT_ALLOWED = 'Origin not allowed'

/** Whether a request wants another protocol than WebSocket, such as `h2c` of Java's client. A server may ignore that. */
export function wantsOtherProtocol({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && headers.upgrade.toLowerCase() !== 'websocket'
}

/** Returns a response to a request that Node has taken for a handshake. The connection ends after it. */
export function respondOn(socket: Duplex, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  socket.on('error', () => {})
  // Its body is not parsed, and no request needs one.
  socket.resume()
  response.assignSocket(request.socket)
  response.once('finish', () => {
    response.detachSocket(request.socket)
    socket.end(() => socket.destroy())
  })
  return response
}

/** Refuses a handshake with an HTTP status, and ends the connection. Says to a page in the reason phrase why it may not. */
export function refuseUpgrade(socket: Duplex, event: RefusedEvent & { readonly status: number }): void {
  const { status, reason } = event
  const phrase = reason === 'origin' ? ORIGIN_NOT_ALLOWED : STATUS_CODES[status]
  publish('refused', event)
  socket.on('error', () => {})
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status} ${phrase}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
