import type { IncomingMessage } from 'node:http'

/** A WebSocket message: text as a string, binary as bytes. */
export type Frame = string | Uint8Array

/** A request or WebSocket handshake that a test upstream received, and its answer. */
export interface TestRequest {
  /** `websocket` for a handshake. */
  readonly kind: 'http' | 'websocket'
  /** `GET` for a handshake. */
  readonly method: string
  /** The path without the query, as the client sent it. */
  readonly path: string
  /** The decoded parameters of the query. Of several with the same name, the last one. */
  readonly query: Readonly<Record<string, string>>
  /** The headers, with their names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The HTTP status of the answer: 101 for a successful handshake, `undefined` before the answer. */
  readonly status: number | undefined
  /** The body of a request for a command, as text: what it ran, and with which `env`. Otherwise `undefined`. */
  readonly body: string | undefined
  /** The messages that arrived on the socket: text as a string, binary as bytes. */
  readonly frames: ReadonlyArray<string | Uint8Array>
  /** The code that the upstream closed the socket with: 1006 if it dropped the connection, otherwise `undefined`. */
  readonly closeCode: number | undefined
}

/** The record of a request while the server answers it. */
export type RequestRecord = { -readonly [field in keyof TestRequest]: TestRequest[field] } & {
  frames: Frame[]
}

/** Returns the record of a request that has just arrived. */
export function recordOf(kind: TestRequest['kind'], request: IncomingMessage): RequestRecord {
  const { method = '', url = '' } = request
  const [path = '', query = ''] = url.split(/\?(.*)/s)
  return {
    kind,
    method,
    path,
    query: Object.fromEntries(new URLSearchParams(query)),
    headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)])),
    status: undefined,
    body: undefined,
    frames: [],
    closeCode: undefined,
  }
}
