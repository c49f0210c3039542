import { bytesOf } from '../lib/runtime.ts'
import { SilenceTimer, type SilenceObserver } from '../lib/silence-timer.ts'
import type { FlowControl } from '../lib/water-mark.ts'
import { CLOSE_DROPPED, CLOSE_NORMAL } from '../upstream/close-codes.ts'
import type { Ending } from './ending.ts'
import { sendsHeaders, type SocketConstructor, type SocketLike } from './socket-class.ts'

/** Takes the messages of a link. */
export interface Receiver {
  /** Takes a message. Returns `false` if it only shows that the other side is there. */
  push(data: Uint8Array, isBinary: boolean): boolean | void
}

/** Is told of the traffic on a link, and of its end. */
export interface LinkObserver {
  /** Called when the handshake has succeeded. */
  onOpen?(): void
  /** Called once, however the socket ends. */
  onEnd(ending: Ending): void
  /** Called after every message, but for those that only show that the other side is there. */
  onMessage(data: Uint8Array): void
  /** Called after those, and after every ping and pong that the runtime shows. */
  onPong(): void
}

/** Bytes. The servers accept messages up to this size, too (PROTOCOL 5.6). */
const MAX_MESSAGE = 16_777_216
// Values of `readyState` in the WHATWG standard.
const OPEN = 1
const CLOSING = 2
// ms for the server's answer to a close frame.
const CLOSE_PATIENCE = 2_000
// ms after which ws ends the connection itself, whichever side began to close.
const CLOSE_LIMIT = 5_000
// Bytes that may wait in a socket that does not call back when they have left.
const HIGH_WATER = 65_536
const POLL_INTERVAL = 4

// All sockets of ws share their listeners, which find their link by this property: a tenth less memory for each socket.
const LINK = Symbol('link')

interface HandshakeAnswer {
  readonly statusCode: number
  readonly statusMessage?: string
  readonly headers: Readonly<Record<string, string | undefined>>
}

interface LinkedSocket {
  readonly [LINK]: Link<Receiver>
}

function onPong(this: LinkedSocket): void {
  this[LINK].onPong()
}

/** A WebSocket without the differences between runtimes. Its messages go to `receiver`. */
export class Link<R extends Receiver> implements FlowControl, SilenceObserver {
  /** Takes the messages. May be replaced at any time. */
  receiver: R
  readonly #socket: SocketLike
  // Absent until `observe`.
  #observer: LinkObserver | undefined
  // Whether the handshake has succeeded, for the ending.
  #opened = false
  // The answer to a refused handshake, for the ending.
  #refusal: HandshakeAnswer | undefined
  // The first error that the runtime has reported, for the ending.
  #failure: unknown
  // Runs while the closing handshake does. With `isPatient`, messages reset it.
  #patience: SilenceTimer | undefined
  #isPatient = false
  // Absent until the socket has ended.
  #ending: Ending | undefined

  static readonly #listeners = {
    open(this: LinkedSocket): void {
      this[LINK].#onOpen()
    },
    message(this: LinkedSocket, data: Uint8Array, isBinary: boolean): void {
      this[LINK].#onMessage(data, isBinary)
    },
    ping: onPong,
    pong: onPong,
    error(this: LinkedSocket, error: unknown): void {
      this[LINK].#onError(error)
    },
    close(this: LinkedSocket, code: number, reason: Buffer): void {
      this[LINK].#finish(code, reason.toString())
    },
    // Without this listener, the status would stand only in the message of an error. With it, ws does not end the socket.
    'unexpected-response'(this: LinkedSocket, _request: unknown, response: HandshakeAnswer): void {
      this[LINK].#refusal = response
      this[LINK].#socket.terminate?.()
    },
  }

  /** Dials. Throws what the constructor of the class throws. */
  constructor(
    Socket: SocketConstructor,
    url: string,
    headers: Record<string, string>,
    createReceiver: (source: Link<R>) => R,
  ) {
    this.#socket = sendsHeaders(Socket)
      ? new Socket(url, [], {
          headers,
          // PROTOCOL 5.7: every server offers compression, and it costs ten times the CPU of everything else here.
          perMessageDeflate: false,
          maxPayload: MAX_MESSAGE,
          closeTimeout: CLOSE_LIMIT,
        })
      : new Socket(url)
    this.receiver = createReceiver(this)
    if (this.#socket.on) this.#listenToWs(this.#socket)
    else this.#listen(this.#socket)
  }

  #listenToWs(socket: SocketLike): void {
    socket.binaryType = 'nodebuffer'
    Object.assign(socket, { [LINK]: this })
    for (const [event, listener] of Object.entries(Link.#listeners)) socket.on?.(event, listener)
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

  onPong(): void {
    this.#observer?.onPong()
  }

  #onOpen(): void {
    this.#opened = true
    this.#observer?.onOpen?.()
  }

  #onMessage(data: Uint8Array, isBinary: boolean): void {
    // Some sockets go on after they were ended.
    if (this.#ending) return
    if (this.receiver.push(data, isBinary) === false) this.onPong()
    else this.#observer?.onMessage(data)
    if (this.#isPatient) this.#patience?.reset()
  }

  #onError(error?: unknown): void {
    this.#failure ??= error
    // After an error, ws waits 5 s for the server to end the connection. The session may be gone by then, and the failure
    // would look like the end of the shell.
    if (this.#opened && this.#socket.on) this.drop()
    // Node's own class fires no close event when the handshake fails.
    if (!this.#opened) this.#finish(CLOSE_DROPPED, '')
  }

  #finish(code: number, reason: string): void {
    if (this.#ending) return
    const { statusCode: status, statusMessage = reason, headers } = this.#refusal ?? {}
    const header = headers && ((name: string) => headers[name])
    this.#ending = { code, reason: statusMessage, opened: this.#opened, status, header, failure: this.#failure }
    this.#refusal = undefined
    this.#patience?.stop()
    this.#observer?.onEnd(this.#ending)
  }

  /** Tells another observer from now on. Tells it at once of an end that it has missed. */
  observe(observer: LinkObserver): void {
    this.#observer = observer
    if (this.#ending) observer.onEnd(this.#ending)
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
    while (!this.#ending && this.#socket.bufferedAmount > HIGH_WATER) {
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL))
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
    if (!this.#ending) this.#patience = new SilenceTimer([CLOSE_PATIENCE], this)
  }

  /** Called by the timer: the server has not answered the close frame in time. */
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
