import { bytesOf } from '../lib/globals.ts'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { FlowControl } from '../lib/water-mark.ts'
import { CLOSE_DROPPED, CLOSE_NORMAL } from '../upstream/close-codes.ts'
import { LARGEST_MESSAGE_BYTES } from '../upstream/protocol.ts'
import { sendsHeaders, type SocketConstructor, type SocketLike } from './socket-class.ts'

/** How a socket ended. */
export interface SocketEnd {
  /** The close code, 1006 when there was no close frame. */
  readonly code: number
  /** The reason of the close frame, or the reason phrase of the answer that refused the handshake. */
  readonly reason: string
  /** Whether the handshake had succeeded before. */
  readonly opened: boolean
  /** The HTTP status of the handshake, if the runtime tells. */
  readonly status: number | undefined
  /** Returns a header of the answer that refused the handshake; absent if the runtime does not tell. */
  readonly header?: ((name: string) => string | undefined) | undefined
  /** The error of the runtime, if it tells. */
  readonly failure: unknown
}

/** Takes the messages of a socket. */
export interface Receiver {
  push(data: Uint8Array, isBinary: boolean): void
}

/** Is told of the traffic on a socket, and of its end. */
export interface SocketObserver {
  /** The handshake has succeeded. */
  onOpen?(): void
  /** The receiver has taken a message. */
  onMessage?(data: Uint8Array, isBinary: boolean): void
  /** A ping or a pong has come; not every runtime shows them. */
  onPong?(): void
  /** Once, however the socket ends. */
  onEnd(end: SocketEnd): void
}

// Values of `readyState` in the WHATWG standard.
const OPEN = 1
const CLOSING = 2
// For the server's answer to a close frame.
const CLOSE_TIMEOUT_MS = 2_000
// Then ws ends the connection itself, whichever side began to close.
const WS_CLOSE_TIMEOUT_MS = 5_000
// What may wait in a socket that does not call back when it has left.
const MOST_WAITING_BYTES = 65_536
const POLL_INTERVAL_MS = 4

// All sockets of ws share their listeners, which find their owner by this property: a tenth less memory for each.
const OWNER = Symbol('owner')

interface HandshakeAnswer {
  readonly statusCode: number
  readonly statusMessage?: string
  readonly headers: Readonly<Record<string, string | undefined>>
}

interface OwnedSocket {
  readonly [OWNER]: UpstreamSocket
}

/** A WebSocket to an upstream, without the differences between runtimes. */
export class UpstreamSocket implements FlowControl, SilenceObserver {
  /** Takes the messages. Set it before the first one comes. */
  receiver: Receiver | undefined
  readonly #socket: SocketLike
  #observer: SocketObserver | undefined
  // What the end has to tell: whether the handshake has succeeded, the answer that refused it, and the first error.
  #opened = false
  #refusal: HandshakeAnswer | undefined
  #failure: unknown
  // Runs while the closing handshake does. With `isPatient`, messages reset it.
  #patience: SilenceTimer | undefined
  #isPatient = false
  // Absent until the socket has ended.
  #end: SocketEnd | undefined

  static readonly #listeners = {
    open(this: OwnedSocket): void {
      this[OWNER].#onOpen()
    },
    message(this: OwnedSocket, data: Uint8Array, isBinary: boolean): void {
      this[OWNER].#onMessage(data, isBinary)
    },
    ping(this: OwnedSocket): void {
      this[OWNER].#observer?.onPong?.()
    },
    pong(this: OwnedSocket): void {
      this[OWNER].#observer?.onPong?.()
    },
    error(this: OwnedSocket, error: unknown): void {
      this[OWNER].#onError(error)
    },
    close(this: OwnedSocket, code: number, reason: Buffer): void {
      this[OWNER].#finish(code, reason.toString())
    },
    // Without this listener, the status would stand only in an error's message. With it, ws does not end the socket.
    'unexpected-response'(this: OwnedSocket, _request: unknown, response: HandshakeAnswer): void {
      this[OWNER].#refusal = response
      this[OWNER].#socket.terminate?.()
    },
  }

  /** Dials. Throws what the constructor of the class throws. */
  constructor(Socket: SocketConstructor, url: string, headers: Record<string, string>) {
    this.#socket = sendsHeaders(Socket)
      ? new Socket(url, [], {
          headers,
          // PROTOCOL 5.7: every server offers compression, and it costs ten times the CPU of everything else here.
          perMessageDeflate: false,
          maxPayload: LARGEST_MESSAGE_BYTES,
          closeTimeout: WS_CLOSE_TIMEOUT_MS,
        })
      : new Socket(url)
    if (this.#socket.on) this.#listenToWs(this.#socket)
    else this.#listen(this.#socket)
  }

  #listenToWs(socket: SocketLike): void {
    socket.binaryType = 'nodebuffer'
    Object.assign(socket, { [OWNER]: this })
    for (const [event, listener] of Object.entries(UpstreamSocket.#listeners)) socket.on?.(event, listener)
  }

  #listen(socket: SocketLike): void {
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('open', () => this.#onOpen())
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') this.#onMessage(bytesOf(data), false)
      else this.#onMessage(new Uint8Array(data), true)
    })
    // The error of Node's own class says nothing.
    socket.addEventListener('error', () => this.#onError())
    // Deno's own class reports the code 0 for a connection that dropped.
    socket.addEventListener('close', ({ code, reason }) => this.#finish(code || CLOSE_DROPPED, reason))
  }

  #onOpen(): void {
    this.#opened = true
    this.#observer?.onOpen?.()
  }

  #onMessage(data: Uint8Array, isBinary: boolean): void {
    // Some sockets go on after they were ended.
    if (this.#end) return
    this.receiver?.push(data, isBinary)
    this.#observer?.onMessage?.(data, isBinary)
    if (this.#isPatient) this.#patience?.reset()
  }

  #onError(error?: unknown): void {
    this.#failure ??= error
    // After an error, ws waits 5 s for the server to end the connection. The session may be gone by then, and the
    // failure would look like the end of the shell.
    if (this.#opened && this.#socket.on) this.drop()
    // Node's own class fires no close event when the handshake fails.
    if (!this.#opened) this.#finish(CLOSE_DROPPED, '')
  }

  #finish(code: number, reason: string): void {
    if (this.#end) return
    const { statusCode: status, statusMessage = reason, headers } = this.#refusal ?? {}
    const header = headers && ((name: string) => headers[name])
    this.#end = { code, reason: statusMessage, opened: this.#opened, status, header, failure: this.#failure }
    this.#refusal = undefined
    this.#patience?.stop()
    this.#observer?.onEnd(this.#end)
  }

  /** Tells another observer from now on. Tells it at once of an end that it has missed. */
  observe(observer: SocketObserver): void {
    this.#observer = observer
    if (this.#end) observer.onEnd(this.#end)
  }

  sendText(text: string): void {
    this.#socket.send(text)
  }

  /** Resolves when the socket has taken the frame, so that the caller can keep pace with a slow server. */
  async send(frame: string | ArrayBuffer): Promise<void> {
    if (this.#socket.on) {
      return new Promise((resolve, reject) => {
        this.#socket.send(frame, (error) => (error ? reject(error) : resolve()))
      })
    }
    this.#socket.send(frame)
    while (!this.#end && this.#socket.bufferedAmount > MOST_WAITING_BYTES) {
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS))
    }
  }

  /** Sends a protocol ping if the runtime can. Returns whether a pong can be expected. */
  ping(): boolean {
    // Bun's own class can ping too, but shows no pongs.
    if (!this.#socket.on) return false
    this.#socket.ping?.()
    return true
  }

  /** Whether messages can be sent. */
  isOpen(): boolean {
    return this.#socket.readyState === OPEN
  }

  /** Whether the socket is closing, for any reason. */
  isClosing(): boolean {
    return this.#socket.readyState === CLOSING
  }

  pause(): void {
    // A paused socket never reads the answer to its close frame.
    if (!this.isClosing()) this.#socket.pause?.()
  }

  resume(): void {
    this.#socket.resume?.()
  }

  /**
   * Starts the closing handshake, and ends the connection if the server does not answer in time. With `patient`, every
   * message of the server extends that time.
   */
  close(patient: boolean, code: number = CLOSE_NORMAL, reason = ''): void {
    this.resume()
    // Other classes throw for the codes below 3000 except 1000.
    this.#socket.close(this.#socket.on || code >= 3000 ? code : CLOSE_NORMAL, reason)
    this.#isPatient = patient
    if (!this.#end) this.#patience = new SilenceTimer([CLOSE_TIMEOUT_MS], this)
  }

  /** The server has not answered the close frame in time. */
  onSilence(): void {
    this.drop()
  }

  /** Ends the connection at once. */
  drop(): void {
    if (this.#socket.terminate) this.#socket.terminate()
    else this.#socket.close()
    this.#finish(CLOSE_DROPPED, '')
  }
}
