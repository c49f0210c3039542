import { Deferred } from '../lib/deferred.ts'
import { Heartbeat, type HeartbeatOwner } from '../lib/heartbeat.ts'
import type { FlowControl } from '../lib/water-mark.ts'
import { CLOSE_DROPPED } from '../upstream/close-codes.ts'
import { CLOSED, OPEN, type ClientSocket } from './socket.ts'
import { MessageQueue, type MessageReceiver } from './message-queue.ts'
import { ByteLimit, cutOff, hangUp, unsentBytes } from './tcp.ts'

/** How the client's connection ended. */
export interface ClientClose {
  /** The close code, 1006 when there was no close frame. */
  readonly code: number
  readonly reason: string
}

/** The owner of a {@link ClientConnection}. */
export interface ClientConnectionOwner {
  /**
   * The client has sent too much, at all or for a terminal that is not open yet, and is not listened to any more.
   * Closes the connection, unless it is closing.
   */
  onOverflow(): void
  /** The connection has ended and, after a close frame, its messages have been delivered. */
  onClientGone(close: ClientClose): void
}

/** Tells the client that this side lives. */
export interface SignOfLife {
  signOfLife(): void
}

// For the client's answer to a close frame, and for the upstream to take what the client sent before its close.
const CLOSE_TIMEOUT_MS = 5_000

// Between two signs of life. A client asks for one after 1 s of silence at the earliest, and gives up after two more.
const SIGN_INTERVAL_MS = 1_000

// All sockets share their listeners, which find their owner by this property: a function for each socket and event
// would cost memory.
const OWNER = Symbol('owner')

interface OwnedSocket {
  readonly [OWNER]: ClientConnection
}

/**
 * The connection of a client. Listens to the client's socket, so that no event of it is lost and no error of it is
 * thrown.
 */
export class ClientConnection implements FlowControl, HeartbeatOwner {
  readonly #socket: ClientSocket
  readonly #owner: ClientConnectionOwner
  readonly #queue: MessageQueue
  // How the connection has ended, for those who ask later. Absent before.
  #close: ClientClose | undefined
  // Absent unless something waits for the end.
  #gone: Deferred<ClientClose> | undefined
  // Runs while the connection is open; replaced when the interval changes.
  #heartbeat: Heartbeat | undefined
  // Runs while the connection closes, to end what takes too long.
  #patience: ReturnType<typeof setTimeout> | undefined
  // What the client had still to take when the heartbeat asked last.
  #unsent = 0
  // Absent if the client would not understand it.
  #signOfLife: SignOfLife | undefined
  // Runs while the client is not read, which can be for as long as its input waits.
  #signs: ReturnType<typeof setInterval> | undefined
  // Absent without a limit.
  #byteLimit: ByteLimit | undefined
  // Ends the connection after the close frame. Absent if the client's answer is awaited.
  #end: ((socket: ClientSocket) => void) | undefined

  static readonly #listeners = {
    message(this: OwnedSocket, data: Buffer, isBinary: boolean): void {
      this[OWNER].#heartbeat?.reset()
      this[OWNER].#queue.push(data, isBinary)
    },
    ping(this: OwnedSocket): void {
      this[OWNER].#heartbeat?.reset()
    },
    pong(this: OwnedSocket): void {
      this[OWNER].#heartbeat?.reset()
    },
    // The `close` event that follows has the code. A client that breaks the protocol may never end its side.
    error(this: OwnedSocket): void {
      this[OWNER].#terminateSoon()
    },
    close(this: OwnedSocket, code: number, reason: Buffer): void {
      this[OWNER].#onClose({ code, reason: reason.toString() })
    },
  }

  constructor(socket: ClientSocket, owner: ClientConnectionOwner) {
    this.#socket = socket
    this.#owner = owner
    this.#queue = new MessageQueue(socket)
    if (socket.readyState === CLOSED) queueMicrotask(() => this.#onEnd({ code: CLOSE_DROPPED, reason: '' }))
    Object.assign(socket, { [OWNER]: this })
    for (const [event, listener] of Object.entries(ClientConnection.#listeners)) socket.on(event, listener)
    socket.binaryType = 'nodebuffer'
    // The caller may have paused the socket so that no message is lost.
    socket.resume()
  }

  /** Resolves when the connection has ended and, after a close frame, its messages are delivered. Never rejects. */
  get gone(): Promise<ClientClose> {
    if (this.#close) return Promise.resolve(this.#close)
    this.#gone ??= new Deferred()
    return this.#gone.promise
  }

  /** Delivers all further messages to the receiver; without a receiver, drops them. */
  deliverTo(receiver: MessageReceiver | undefined): void {
    this.#queue.receiver = receiver
  }

  /** Pings after this many ms of silence, and ends the connection after two unanswered pings. 0 sends no pings. */
  keepAlive(interval: number): void {
    this.#heartbeat?.stop()
    if (this.#socket.readyState === OPEN) this.#heartbeat = new Heartbeat(interval, this)
  }

  /** Counts as an answer to the pings: the client has taken output. */
  noteProgress(): void {
    this.#heartbeat?.onPong()
  }

  /** Sends a sign of life each second while paused, because heartbeats get no answer then. */
  sendSignsWhilePaused(signOfLife: SignOfLife): void {
    this.#signOfLife = signOfLife
  }

  pause(): void {
    this.#queue.pause()
    const sign = this.#signOfLife
    if (sign) this.#signs ??= setInterval(() => sign.signOfLife(), SIGN_INTERVAL_MS)
  }

  resume(): void {
    this.#queue.resume()
    this.#stopSigns()
  }

  #stopSigns(): void {
    clearInterval(this.#signs)
    this.#signs = undefined
  }

  /**
   * Limits how many bytes the client may send, counted from the first limit on, unfinished messages included. When it
   * sends more, nothing of that is kept, and its answer to the close frame is not awaited. `undefined` removes the
   * limit.
   */
  limitBytes(most: number | undefined): void {
    if (most === undefined) {
      this.#byteLimit?.stop()
      this.#byteLimit = undefined
      return
    }
    this.#byteLimit ??= new ByteLimit(this.#socket, () => {
      this.limitBytes(undefined)
      this.#owner.onOverflow()
      this.#endBy(hangUp)
    })
    this.#byteLimit.set(most)
  }

  /** Sends the close frame. Further messages are delivered until the client answers it. */
  startClosing(code: number, reason: string): void {
    this.#socket.close(code, reason)
  }

  /** Closes the connection, by force if the client does not answer in time. `gone` resolves when it has ended. */
  close(code: number | undefined, reason: string): void {
    this.#queue.close()
    if (this.#socket.readyState === CLOSED) return
    if (code === undefined) this.#socket.close()
    else this.#socket.close(code, reason)
    this.#end?.(this.#socket)
    this.#terminateSoon()
  }

  /** Does not wait for the answer to the close frame, which has been sent or is about to be. */
  hurry(): void {
    this.#endBy(cutOff)
  }

  /** Removes what was added to the socket, which has closed. */
  release(): void {
    for (const [event, listener] of Object.entries(ClientConnection.#listeners)) this.#socket.off(event, listener)
    Reflect.deleteProperty(this.#socket, OWNER)
    this.limitBytes(undefined)
  }

  ping(): boolean {
    this.#socket.ping()
    return true
  }

  isPaused(): boolean {
    const before = this.#unsent
    this.#unsent = unsentBytes(this.#socket)
    // A large message is being read, such as a replay over a slow link. The answers come after it.
    if (this.#unsent < before) return true
    // A paused socket does not receive pongs. Its client is alive, unless output for it is stuck, too.
    return this.#queue.isPaused() && this.#socket.bufferedAmount === 0
  }

  onLost(): void {
    this.#socket.terminate()
  }

  #endBy(end: (socket: ClientSocket) => void): void {
    this.#end = end
    if (this.#socket.readyState !== OPEN) end(this.#socket)
  }

  #terminateSoon(): void {
    this.#patience ??= setTimeout(() => this.#socket.terminate(), CLOSE_TIMEOUT_MS)
  }

  #onClose(close: ClientClose): void {
    this.#heartbeat?.stop()
    this.#stopSigns()
    clearTimeout(this.#patience)
    if (close.code === CLOSE_DROPPED) return this.#onEnd(close)
    // The upstream still gets what the client sent before it closed, if it takes that in time.
    this.#patience = setTimeout(() => this.#queue.close(), CLOSE_TIMEOUT_MS)
    this.#queue.end(() => {
      clearTimeout(this.#patience)
      this.#onEnd(close)
    })
  }

  #onEnd(close: ClientClose): void {
    this.#close = close
    this.#gone?.resolve(close)
    this.#owner.onClientGone(close)
  }
}
