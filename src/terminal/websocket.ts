import isomorphicWs from 'isomorphic-ws'
import { createSilenceTimer } from '../lib/silence-timer.ts'

/** The part of a WebSocket that this package uses: that of browsers, or of `ws`, which can do more. */
export interface SocketLike {
  /** Set to `arraybuffer`, for `ws` to `nodebuffer`. */
  binaryType: string
  /** As in the WHATWG WebSocket standard: 1 while the connection is open. */
  readonly readyState?: number
  /** Bytes that have been sent but not left yet. */
  readonly bufferedAmount: number
  /** Sends a message; `ws` calls back when it has left. */
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
 * One with an `on` method is taken for `ws` and gets its options as the third argument; any other gets the URL
 * alone and can send no headers.
 */
export type SocketConstructor = new (url: string, protocols?: string | string[], options?: object) => SocketLike

// Bundlers disagree on what the CommonJS default of isomorphic-ws is, and it is nothing where a browser's bundle runs
// without a browser, as in server-side rendering. Annotated rather than cast.
const imported: (SocketConstructor & { default?: SocketConstructor }) | null | undefined = isomorphicWs

/** The runtime's own class: `ws` in Node, Bun and Deno, the global one, if there is any, elsewhere. */
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
  /** What the handshake was answered with, where the runtime tells. */
  readonly status: number | undefined
  /** What the runtime said went wrong, where it tells. */
  readonly failure: unknown
}

/** A socket from its first moment to its last, with the differences between runtimes taken out. */
export interface Link {
  readonly opened: Promise<void>
  /** Resolves once, however it ends; never rejects. */
  readonly ended: Promise<Ending>
  /** Calls back at every message, and where the runtime tells of them at every ping and pong. */
  observe(onMessage: () => void, onPong: () => void): void
  sendText(text: string): void
  /** Resolves when the socket has taken the frame, so that a slow server slows the caller down. */
  send(frame: string | ArrayBuffer): Promise<void>
  /** Sends a protocol ping where the runtime can, and says whether it did. */
  ping(): boolean
  /** Whether the closing handshake has begun, from either side. */
  isClosing(): boolean
  pause(): void
  resume(): void
  /**
   * Closes politely, and by force if the other side does not answer in time; with `patient`, as long as it still sends
   * something it has time.
   */
  close(patient: boolean, code?: number, reason?: string): void
  /** Ends it at once. */
  drop(): void
}

/** Bytes; as large as the messages that uvicorn, the server under every upstream, takes itself. */
export const MAX_MESSAGE: number = 16 * 1024 * 1024
// A `readyState` of the WHATWG standard.
const CLOSING = 2
const CLOSE_PATIENCE = 2_000
// The longest closing handshake that ws waits for, whichever side began it.
const CLOSE_LIMIT = 5_000
// Where sockets do not say when they have taken something, this much may wait in them.
const HIGH_WATER = 16 * 4096
const POLL_INTERVAL = 4

/** Dials; every message from the first on goes to `receive`. Throws what the constructor throws. */
export function openLink(
  Socket: SocketConstructor,
  url: string,
  headers: Record<string, string>,
  receive: (data: Uint8Array, isBinary: boolean) => void,
): Link {
  const socket = sendsHeaders(Socket)
    ? new Socket(url, [], {
        headers,
        // Every real server offers it, and it costs ten times what it saves here.
        perMessageDeflate: false,
        maxPayload: MAX_MESSAGE,
        closeTimeout: CLOSE_LIMIT,
      })
    : new Socket(url)
  socket.binaryType = socket.on ? 'nodebuffer' : 'arraybuffer'

  let opened = false
  let over = false
  let closing = false
  let observer: (() => void) | undefined
  let status: number | undefined
  let failure: unknown
  let open: () => void
  let end: (ending: Ending) => void
  const whenOpened = new Promise<void>((resolve) => (open = resolve))
  const whenEnded = new Promise<Ending>((resolve) => (end = resolve))
  const finish = (code: number, reason: string): void => {
    over = true
    end({ code, reason, opened, status, failure })
  }
  const drop = (): void => {
    if (socket.terminate) socket.terminate()
    else socket.close()
    finish(1006, '')
  }

  socket.addEventListener('open', () => {
    opened = true
    open()
  })
  const take = (data: Uint8Array, isBinary: boolean): void => {
    receive(data, isBinary)
    observer?.()
  }
  // The events of ws cost a flood a tenth less than the DOM's.
  if (socket.on) socket.on('message', take)
  else {
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') take(new TextEncoder().encode(data), false)
      else take(new Uint8Array(data), true)
    })
  }
  socket.addEventListener('error', (event) => {
    // Node's own class has one too, but it says nothing.
    if ('error' in event && socket.on) failure ??= event.error
    // After an error ws waits 5 s for the other side to end the connection. A look at the session meanwhile would take
    // the failure for the end of the shell.
    if (opened && socket.on) drop()
    // Node's own WebSocket leaves out the close event when the handshake fails.
    if (!opened) finish(1006, '')
  })
  // Deno's own class says 0 of a connection that dropped.
  socket.addEventListener('close', ({ code, reason }) => finish(code || 1006, reason))
  // With this listener ws leaves the request to us; without it the status would have to be read out of a message.
  socket.on?.('unexpected-response', (_request: unknown, response: { statusCode: number }) => {
    status = response.statusCode
    socket.terminate?.()
  })

  return {
    opened: whenOpened,
    ended: whenEnded,
    observe: (onMessage, onPong) => {
      observer = onMessage
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
          while (!over && socket.bufferedAmount > HIGH_WATER) {
            await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL))
          }
        },
    ping: () => {
      // Bun's own class can too, but does not tell of the answer.
      if (socket.on) socket.ping?.()
      return socket.on !== undefined
    },
    isClosing: () => socket.readyState === CLOSING,
    // A paused socket would never see the answer to its close.
    pause: () => (closing ? undefined : socket.pause?.()),
    resume: () => socket.resume?.(),
    close: (patient, code = 1000, reason = '') => {
      closing = true
      socket.resume?.()
      // Only ws may say more than an application.
      socket.close(socket.on || code >= 3000 ? code : 1000, reason)
      const patience = createSilenceTimer([CLOSE_PATIENCE], drop)
      if (patient) socket.addEventListener('message', patience.reset)
      void whenEnded.then(patience.stop)
    },
    drop,
  }
}
