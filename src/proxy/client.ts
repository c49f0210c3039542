import { createSilenceTimer, type SilenceTimer } from '../lib/silence-timer.ts'
import { OPEN, type ClientSocket } from './client-socket.ts'
import { createInbox, type Receive } from './inbox.ts'
import { limitBytes } from './tcp.ts'

/** How the client went. */
interface Departure {
  /** The close code, 1006 when there was no close frame. */
  readonly code: number
  readonly reason: string
}

/** The client's connection, from the moment it is handed over. */
export interface Client {
  /** Resolves once, however it ends; never rejects. */
  readonly gone: Promise<Departure>
  /** Has the messages from now on go to `onMessage`, or nowhere. */
  receive(onMessage: Receive | undefined): void
  /** Pings after so many ms of silence; two that are not answered end the connection. 0 never does. */
  keepAlive(interval: number): void
  /** The client has shown that it is there in another way. */
  readonly noteProgress: () => void
  readonly pause: () => void
  readonly resume: () => void
  /**
   * Ends the connection at once when it has brought more than so many bytes since it was handed over, unfinished messages
   * included. `undefined` takes the limit away.
   */
  readonly limitBytes: (most: number | undefined) => void
  /** Closes it, by force if it does not answer in time; `gone` tells when it has. */
  close(code: number | undefined, reason: string): void
  /** Leaves nothing of ours behind on a socket that has gone. */
  release(): void
}

const CLOSED = 3
// The code of a close without a close frame.
const DROPPED = 1006
const CLOSE_PATIENCE = 5_000
const MISSED_PINGS = 2

/**
 * Takes a client's socket over: from now on nothing that it does can throw. `exceeded` is called before the connection
 * ends because of {@link Client.limitBytes}.
 */
export function takeClient(socket: ClientSocket, exceeded: () => void): Client {
  let onMessage: Receive | undefined
  const inbox = createInbox((data, isBinary) => onMessage?.(data, isBinary), socket)
  // Pings without an answer.
  let missed = 0
  let heartbeat: SilenceTimer | undefined
  // Runs from the close on.
  let patience: ReturnType<typeof setTimeout> | undefined
  let leave: (departure: Departure) => void
  const gone = new Promise<Departure>((resolve) => {
    leave = resolve
    if (socket.readyState === CLOSED) resolve({ code: DROPPED, reason: '' })
  })
  const limit = limitBytes(socket, () => {
    exceeded()
    socket.terminate()
  })

  const noteProgress = (): void => {
    missed = 0
  }
  const onActivity = (): void => {
    noteProgress()
    heartbeat?.reset()
  }
  const endSoon = (): void => {
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
    // The close that follows is what counts, but a client that does not speak the protocol may never end its side.
    ['error', endSoon],
    [
      'close',
      (code: number, reason: Buffer): void => {
        heartbeat?.stop()
        clearTimeout(patience)
        const departure = { code, reason: reason.toString() }
        if (code === DROPPED) return leave(departure)
        // What a client has typed before it closed arrives, if the upstream takes it in time.
        patience = setTimeout(inbox.close, CLOSE_PATIENCE)
        inbox.end(() => {
          clearTimeout(patience)
          leave(departure)
        })
      },
    ],
  ]
  for (const [event, listener] of listeners) socket.on(event, listener)
  socket.binaryType = 'nodebuffer'
  // The owner of the socket may have paused it, so that no message is lost.
  socket.resume()

  return {
    gone,
    receive(listener) {
      onMessage = listener
    },
    limitBytes: limit,
    keepAlive(interval) {
      heartbeat?.stop()
      if (interval === 0 || socket.readyState !== OPEN) return
      heartbeat = createSilenceTimer([interval], () => {
        // A paused socket does not see the answers, but a client that takes nothing either is gone.
        if (inbox.isPaused() && socket.bufferedAmount === 0) noteProgress()
        if (missed === MISSED_PINGS) return socket.terminate()
        socket.ping()
        missed += 1
        heartbeat?.reset()
      })
    },
    noteProgress,
    pause: inbox.pause,
    resume: inbox.resume,
    close(code, reason) {
      inbox.close()
      if (socket.readyState === CLOSED) return
      if (code === undefined) socket.close()
      else socket.close(code, reason)
      endSoon()
    },
    release() {
      for (const [event, listener] of listeners) socket.off(event, listener)
      limit(undefined)
    },
  }
}
