import isomorphicWs from 'isomorphic-ws'
import { createDeferred } from '../lib/deferred.ts'
import { createSilenceTimer } from '../lib/silence-timer.ts'

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

// Bundlers disagree about the default export of isomorphic-ws, a CommonJS module. It is null or undefined where a bundle
// for browsers runs without a browser, as in server-side rendering.
const imported: (SocketConstructor & { default?: SocketConstructor }) | null | undefined = isomorphicWs

/** The default class: `ws` in Node, Bun and Deno; elsewhere the global one, if there is one. */
export const WebSocket: SocketConstructor | null | undefined = imported?.default ?? imported

/** Whether sockets of this class can send headers in the handshake. */
export function sendsHeaders(Socket: SocketConstructor): boolean {
  return 'on' in Socket.prototype
}

/** How a socket ended. */
export interface Ending {
  /** The close code, 1006 when there was no close frame. */
  readonly code: number
  readonly reason: string
  /** Whether the handshake had succeeded before. */
  readonly opened: boolean
  /** The HTTP status of the handshake, if the runtime tells. */
  readonly status: number | undefined
  /** The error of the runtime, if it tells. */
  readonly failure: unknown
}

/** A WebSocket without the differences between runtimes. */
export interface Link {
  readonly opened: Promise<void>
  /** Resolves when the socket has ended in any way. Never rejects. */
  readonly ended: Promise<Ending>
  /** Sets the function to call after every message, and the one to call after every ping and pong that the runtime shows. */
  observe(onMessage: () => void, onPong: () => void): void
  sendText(text: string): void
  /** Resolves when the socket has taken the frame, so that the caller can keep pace with a slow server. */
  send(frame: string | ArrayBuffer): Promise<void>
  /** Sends a protocol ping if the runtime can. Returns whether a pong can be expected. */
  ping(): boolean
  /** Whether either side has begun the closing handshake. */
  isClosing(): boolean
  pause(): void
  resume(): void
  /**
   * Starts the closing handshake, and ends the connection if the server does not answer in time. With `patient`, every
   * message of the server extends that time.
   */
  close(patient: boolean, code?: number, reason?: string): void
  /** Ends the connection at once. */
  drop(): void
}

/** Bytes. The servers accept messages of the same size (PROTOCOL 5.6). */
export const MAX_MESSAGE: number = 16 * 1024 * 1024
// A `readyState` of the WHATWG standard.
const CLOSING = 2
const CLOSE_PATIENCE = 2_000
// ms after which ws ends the connection itself, whichever side began to close.
const CLOSE_LIMIT = 5_000
// Bytes that may wait in a socket that does not call back when they have left.
const HIGH_WATER = 16 * 4096
const POLL_INTERVAL = 4

/** Dials. All messages go to `receive`. Throws what the constructor of the class throws. */
export function openLink(
  Socket: SocketConstructor,
  url: string,
  headers: Record<string, string>,
  receive: (data: Uint8Array, isBinary: boolean) => void,
): Link {
  const socket = sendsHeaders(Socket)
    ? new Socket(url, [], {
        headers,
        // PROTOCOL 5.7: every server offers compression, and it costs ten times the CPU of everything else here.
        perMessageDeflate: false,
        maxPayload: MAX_MESSAGE,
        closeTimeout: CLOSE_LIMIT,
      })
    : new Socket(url)
  socket.binaryType = socket.on ? 'nodebuffer' : 'arraybuffer'

  const whenOpened = createDeferred()
  const whenEnded = createDeferred<Ending>()
  // The facts of an ending. The runtime reports them before the end.
  let opened = false
  let status: number | undefined
  let failure: unknown
  // Stops the wait for a socket that no longer sends.
  let ended = false
  // Set by `observe`: nothing is observed before the server has accepted.
  let observer: (() => void) | undefined
  const finish = (code: number, reason: string): void => {
    ended = true
    whenEnded.resolve({ code, reason, opened, status, failure })
  }
  const drop = (): void => {
    if (socket.terminate) socket.terminate()
    else socket.close()
    finish(1006, '')
  }

  socket.addEventListener('open', () => {
    opened = true
    whenOpened.resolve()
  })
  const onMessage = (data: Uint8Array, isBinary: boolean): void => {
    receive(data, isBinary)
    observer?.()
  }
  // With ws, an EventEmitter's listener costs a tenth less than a DOM listener.
  if (socket.on) socket.on('message', onMessage)
  else {
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') onMessage(new TextEncoder().encode(data), false)
      else onMessage(new Uint8Array(data), true)
    })
  }
  socket.addEventListener('error', (event) => {
    // The error of Node's own class says nothing.
    if ('error' in event && socket.on) failure ??= event.error
    // After an error, ws waits 5 s for the server to end the connection. The session may be gone by then, and the failure
    // would look like the end of the shell.
    if (opened && socket.on) drop()
    // Node's own class fires no close event when the handshake fails.
    if (!opened) finish(1006, '')
  })
  // Deno's own class reports the code 0 for a connection that dropped.
  socket.addEventListener('close', ({ code, reason }) => finish(code || 1006, reason))
  // Without this listener, the status would stand only in the message of an error. With it, ws does not end the socket.
  socket.on?.('unexpected-response', (_request: unknown, response: { statusCode: number }) => {
    status = response.statusCode
    socket.terminate?.()
  })

  return {
    opened: whenOpened.promise,
    ended: whenEnded.promise,
    observe: (afterMessage, onPong) => {
      observer = afterMessage
      socket.on?.('ping', onPong)
      socket.on?.('pong', onPong)
    },
    sendText: (text) => socket.send(text),
    send: socket.on
      ? (frame) =>
          new Promise((resolve, reject) => {
            socket.send(frame, (error) => (error ? reject(error) : resolve()))
          })
      : async (frame) => {
          socket.send(frame)
          while (!ended && socket.bufferedAmount > HIGH_WATER) {
            await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL))
          }
        },
    ping: () => {
      // Bun's own class can ping too, but shows no pongs.
      if (socket.on) socket.ping?.()
      return socket.on !== undefined
    },
    isClosing: () => socket.readyState === CLOSING,
    // A paused socket never reads the answer to its close frame.
    pause: () => (socket.readyState === CLOSING ? undefined : socket.pause?.()),
    resume: () => socket.resume?.(),
    close: (patient, code = 1000, reason = '') => {
      socket.resume?.()
      // Other classes throw for the codes below 3000 except 1000.
      socket.close(socket.on || code >= 3000 ? code : 1000, reason)
      const patience = createSilenceTimer([CLOSE_PATIENCE], drop)
      if (patient) socket.addEventListener('message', patience.reset)
      void whenEnded.promise.then(patience.stop)
    },
    drop,
  }
}
