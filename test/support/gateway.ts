import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createProxyServer } from 'http-proxy-3'
import { serve } from './upstream.ts'

/** What a reverse proxy changes, answers or refuses. */
export interface Habits {
  /** Changes a request or a handshake before the proxy passes it on. */
  change?: (request: IncomingMessage, isUpgrade: boolean) => void
  /** Answers a request, and returns true, so that the proxy does not pass the request on. */
  answer?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Handles a handshake, which the proxy then does not pass on. */
  upgrade?: (request: IncomingMessage, socket: Duplex) => void
  /** Whether a handshake is passed on although there is an `upgrade`. Default: no. */
  passes?: (request: IncomingMessage) => boolean
  /** ms of silence after which the proxy cuts a connection. */
  cutAfter?: number
}

/** Starts a reverse proxy in front of an upstream, and returns the base URL of the proxy. */
export function gateway(
  upstream: { url: string },
  { change, answer, upgrade, passes, cutAfter }: Habits,
): Promise<string> {
  const proxy = createProxyServer({ target: upstream.url, ws: true })
  proxy.on('error', () => {})
  return serve((server) => {
    server.on('request', (request, response) => {
      change?.(request, false)
      if (!answer?.(request, response)) proxy.web(request, response)
    })
    server.on('upgrade', (request, socket, head) => {
      change?.(request, true)
      if (upgrade && !passes?.(request)) upgrade(request, socket)
      else proxy.ws(request, socket, head)
      if (cutAfter !== undefined) request.socket.setTimeout(cutAfter, () => socket.destroy())
    })
  })
}

/** Answers a handshake with a status, and with a body if one is given. */
export function refuse(socket: Duplex, status: number, type = 'text/plain', body = ''): void {
  const head = `HTTP/1.1 ${status} No\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\nconnection: close`
  socket.end(`${head}\r\n\r\n${body}`)
}

/** Answers a request with a web page. Returns true, for `answer` of {@link Habits}. */
export function page(response: ServerResponse, status: number): true {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end('<title>Log in</title>')
  return true
}
