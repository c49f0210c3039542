import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { createProxyServer } from 'http-proxy-3'
import { serve } from './upstream.ts'

/** What a reverse proxy makes of what it is to pass on. */
export interface Habits {
  /** Changes a request or a handshake before it is passed on. */
  change?: (request: IncomingMessage, isUpgrade: boolean) => void
  /** Answers a request itself if it returns true. */
  answer?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Does with a handshake what it likes, instead of passing it on. */
  upgrade?: (request: IncomingMessage, socket: Duplex) => void
  /** Which handshakes it passes on all the same. Default: none. */
  passes?: (request: IncomingMessage) => boolean
  /** ms of silence after which it cuts a connection. */
  cutAfter?: number
}

/** Puts a reverse proxy in front of an upstream, as others have it, and returns its base URL. */
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

/** Answers a handshake with a status, and a web page if that is asked for. */
export function refuse(socket: Duplex, status: number, type = 'text/plain', body = ''): void {
  const head = `HTTP/1.1 ${status} No\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\nconnection: close`
  socket.end(`${head}\r\n\r\n${body}`)
}

/** Says that there is a web page. */
export function page(response: ServerResponse, status: number): true {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' }).end('<title>Log in</title>')
  return true
}
