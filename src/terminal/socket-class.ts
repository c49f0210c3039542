import isomorphicWs from 'isomorphic-ws'

/** The part of a WebSocket that this package uses. Browsers have the first half of it, `ws` has all. */
export interface SocketLike {
  /** Set to `arraybuffer`, for `ws` to `nodebuffer`. */
  binaryType: string
  /** As in the WHATWG WebSocket standard: 1 while the connection is open. */
  readonly readyState?: number
  /** Bytes that were passed to `send` and have not left yet. */
  readonly bufferedAmount: number
  /** Sends a message. `ws` calls `sent` when the message has left. */
  send(data: string | ArrayBuffer, sent?: (error?: Error | null) => void): void
  /** Starts the closing handshake (RFC 6455, section 7). */
  close(code?: number, reason?: string): void
  /** As in the WHATWG WebSocket standard. */
  addEventListener(type: 'open', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { readonly data: string | ArrayBuffer }) => void): void
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void
  addEventListener(type: 'error', listener: (event: object) => void): void
  /** `ws` only: ends the connection at once. */
  terminate?(): void
  /** `ws` only: stops reading, so that the server has to stop sending. */
  pause?(): void
  /** `ws` only. */
  resume?(): void
  /** `ws` only: sends a protocol ping (RFC 6455, section 5.5.2). */
  ping?(): void
  /** `ws` only. */
  on?(event: string, listener: (...details: never[]) => void): unknown
}

/**
 * A WebSocket class to dial with: `ws` or a class derived from it, or one with the constructor of browsers.
 *
 * A class whose instances have an `on` method counts as `ws`, and gets the options of `ws` as the third argument. Any
 * other class gets only the URL, and cannot send headers.
 */
export type SocketConstructor = new (url: string, protocols?: string | string[], options?: object) => SocketLike

// Bundlers disagree about the default export of isomorphic-ws, a CommonJS module. It is null or undefined where a
// bundle for browsers runs without a browser, as in server-side rendering. In Jest with jsdom, it is a function that
// only throws.
const imported: (SocketConstructor & { default?: SocketConstructor }) | null | undefined = isomorphicWs

/** The default class: `ws` in Node, Bun and Deno; elsewhere the global one, if there is one. */
export const WebSocket: SocketConstructor | null | undefined = [imported?.default, imported, globalThis.WebSocket].find(
  (Socket) => Socket?.prototype?.close,
)

/** Whether sockets of this class can send headers in the handshake. */
export function sendsHeaders(Socket: SocketConstructor): boolean {
  return 'on' in Socket.prototype
}
