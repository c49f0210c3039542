import { createDeferred } from '../lib/deferred.ts'
import { createHeartbeat, type Heartbeat } from '../lib/heartbeat.ts'
import { CLOSED, OPEN, type ClientSocket } from './client-socket.ts'
import { DROPPED } from './closing.ts'
import { createInbox, type MessageListener } from './inbox.ts'
import { createByteLimit } from './tcp.ts'

/** How the client's connection ended. */
interface ClientClose {
  /** The close code, 1006 when there was no close frame. */
  readonly code: number
  readonly reason: string
}

/** The connection between a client and the proxy. */
export interface ClientLeg {
  /** Resolves when the connection has ended and, after a close frame, its messages are delivered. Never rejects. */
  readonly gone: Promise<ClientClose>
  /** Delivers all further messages to the listener; without a listener, drops them. */
  setListener(listener: MessageListener | undefined): void
  /** Pings after this many ms of silence, and ends the connection after two unanswered pings. 0 sends no pings. */
  keepAlive(interval: number): void
  /** Counts as an answer to the pings: the client has taken output. */
  readonly noteProgress: () => void
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Limits how many bytes the client may send, counted from the first limit on, unfinished messages included. Ends the
   * connection at once when it sends more. `undefined` removes the limit.
   */
  readonly limitBytes: (limit: number | undefined) => void
  /** Closes the connection, by force if the client does not answer in time. `gone` resolves when it has ended. */
  close(code: number | undefined, reason: string): void
  /** Removes the listeners of the proxy from a socket that has closed. */
  release(): void
}

// ms, for the client's answer to a close frame, and for the upstream to take what the client sent before its close.
const CLOSE_PATIENCE = 5_000

/**
 * Listens to a client's socket, so that no event of it is lost and no error of it is thrown. Calls `onLimit` before the
 * connection ends because of {@link ClientLeg.limitBytes}.
 */
export function createClientLeg(socket: ClientSocket, onLimit: () => void): ClientLeg {
  // Where messages go. Absent before the opening asks for them and after the end.
  let onMessage: MessageListener | undefined
  const inbox = createInbox((data, isBinary) => onMessage?.(data, isBinary), socket)
  // Runs while the connection is open; replaced when the interval changes.
  let heartbeat: Heartbeat | undefined
  // Runs while the connection closes, to end what takes too long.
  let patience: ReturnType<typeof setTimeout> | undefined
  const { promise: gone, resolve: resolveGone } = createDeferred<ClientClose>()
  if (socket.readyState === CLOSED) resolveGone({ code: DROPPED, reason: '' })
  const limitBytes = createByteLimit(socket, () => {
    onLimit()
    socket.terminate()
  })

  const onActivity = (): void => heartbeat?.reset()
  const terminateSoon = (): void => {
    patience ??= setTimeout(() => socket.terminate(), CLOSE_PATIENCE)
  }
  const listeners: ReadonlyArray<readonly [event: string, listener: (...details: never[]) => void]> = [
    [
      'message',
      (data: Buffer, isBinary: boolean): void => {
        onActivity()
        inbox.push(data, isBinary)
      },
    ],
    ['ping', onActivity],
    ['pong', onActivity],
    // The `close` event that follows has the code. A client that breaks the protocol may never end its side.
    ['error', terminateSoon],
    [
      'close',
      (code: number, reason: Buffer): void => {
        heartbeat?.stop()
        clearTimeout(patience)
        const close = { code, reason: reason.toString() }
        if (code === DROPPED) return resolveGone(close)
        // The upstream still gets what the client sent before it closed, if it takes that in time.
        patience = setTimeout(inbox.close, CLOSE_PATIENCE)
        inbox.end(() => {
          clearTimeout(patience)
          resolveGone(close)
        })
      },
    ],
  ]
  for (const [event, listener] of listeners) socket.on(event, listener)
  socket.binaryType = 'nodebuffer'
  // The caller may have paused the socket so that no message is lost.
  socket.resume()

  return {
    gone,
    setListener(listener) {
      onMessage = listener
    },
    limitBytes,
    keepAlive(interval) {
      heartbeat?.stop()
      if (interval === 0 || socket.readyState !== OPEN) return
      heartbeat = createHeartbeat(interval, {
        ping() {
          socket.ping()
          return true
        },
        // A paused socket does not receive pongs. Its client is alive, unless output for it is stuck, too.
        isExcused: () => inbox.isPaused() && socket.bufferedAmount === 0,
        onLost: () => socket.terminate(),
      })
    },
    noteProgress: () => heartbeat?.noteAlive(),
    pause: inbox.pause,
    resume: inbox.resume,
    close(code, reason) {
      inbox.close()
      if (socket.readyState === CLOSED) return
      if (code === undefined) socket.close()
      else socket.close(code, reason)
      terminateSoon()
    },
    release() {
      for (const [event, listener] of listeners) socket.off(event, listener)
      limitBytes(undefined)
    },
  }
}
