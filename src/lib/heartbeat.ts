import { createSilenceTimer } from './silence-timer.ts'

/** Finds out, by pings in silence, whether the other side is still there. */
export interface Heartbeat {
  /** The other side has sent something: the silence begins anew. */
  readonly reset: () => void
  /** The other side has shown that it is there, and the silence goes on. */
  readonly noteAlive: () => void
  readonly stop: () => void
}

/** How a {@link Heartbeat} reaches the other side. */
export interface HeartbeatActions {
  /** Sends a ping. Returns whether the other side can be expected to answer it. */
  readonly ping: () => boolean
  /** Whether an answer cannot arrive at the moment: a paused socket reads no pongs. */
  readonly isExcused: () => boolean
  /** Two pings in a row were not answered. */
  readonly onLost: () => void
}

/** Pings without an answer, after which the connection counts as lost. */
export const MISSED_PINGS = 2

/** Pings after every `interval` ms of silence; 0 never pings. */
export function createHeartbeat(interval: number, { ping, isExcused, onLost }: HeartbeatActions): Heartbeat {
  // Pings without an answer.
  let missed = 0
  const noteAlive = (): void => {
    missed = 0
  }
  const silence = createSilenceTimer(interval === 0 ? [] : [interval], () => {
    if (isExcused()) noteAlive()
    if (missed === MISSED_PINGS) return onLost()
    if (ping()) missed += 1
    silence.reset()
  })
  return {
    reset() {
      noteAlive()
      silence.reset()
    },
    noteAlive,
    stop: silence.stop,
  }
}
