import { Cancellation, throwIfAborted, type AbortSignalLike } from '../lib/cancellation.ts'
import { abortable, delay } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { withoutSecrets } from '../lib/errors.ts'
import { failureError } from '../upstream/failures.ts'
import { HEARTBEAT } from '../upstream/protocol.ts'
import type { Endpoint } from '../upstream/options.ts'
import { asRecord, parseJson } from '../upstream/requests.ts'
import { lookUpSession, type SessionRequestOptions } from '../upstream/sessions.ts'
import { endShell } from './farewell.ts'
import type { Lease } from './lease.ts'
import type { CreateSink, Sink } from './output.ts'
import type { Settings } from './settings.ts'
import { UpstreamSocket, type SocketEnd } from './socket.ts'

/** One attempt to attach to a session. */
export interface Attempt {
  readonly settings: Settings
  readonly lease: Lease
  /** The URLs and credentials of this attempt. */
  readonly endpoint: Endpoint
  /** The options to look the session up with. Their signal ends the attempt. */
  readonly sessionOptions: SessionRequestOptions & { readonly signal: AbortSignalLike }
  readonly url: string
  readonly keyInUrl: boolean
  /** The beginning of an error's message: what was tried, and where. */
  readonly action: string
}

/** How a dial failed: how the socket ended, or that the session does not exist, or the server has no watchers. */
export type DialFailure = SocketEnd | 'session gone' | 'no watchers'

/** A connection that the server has accepted, and the sink of its output. */
export interface Dialled<S extends Sink> {
  readonly socket: UpstreamSocket
  readonly sink: S
}

// Between the auth frame and the heartbeat. By then a shell has shown its prompt, and an orchestrator knows whether its
// own connection was refused. It reports that only when it has something to pass on (PROTOCOL 3.11).
const HEARTBEAT_DELAY_MS = 250

// The silence after which a server has accepted. Behind an orchestrator, a slow container may refuse a new session with
// a chat later, and each heartbeat may be the first that reports it (PROTOCOL 3.11). Others show a prompt meanwhile.
const SETTLE_MS = 1_000
const LATE_SETTLE_MS = 5_000

// For the look-up of a session without output, at least.
const SHORTEST_LOOK_UP_MS = 500

/** Dials, authenticates, and waits until the server has accepted. */
export async function dial<S extends Sink>(
  attempt: Attempt,
  createSink: CreateSink<S>,
): Promise<Dialled<S> | { readonly failure: DialFailure }> {
  const { settings, endpoint, sessionOptions, lease } = attempt
  const { kept, resize } = settings
  const { signal } = sessionOptions
  throwIfAborted(signal)
  const { socket, sink } = open(attempt, createSink)
  const outcome = new Deferred<DialFailure | undefined>()
  // Stops the confirmation when the outcome is known.
  let stop: (() => void) | undefined
  const accept = (failure: DialFailure | undefined): void => {
    if (failure || !kept?.isAwaited) outcome.resolve(failure)
    // Only a gateway lets a client look on. Any other server has attached it as one that types (PROTOCOL 8.13).
    else if (!kept.isKnown) outcome.resolve('no watchers')
  }
  socket.observe({
    onOpen() {
      lease.noteOpened()
      socket.sendText(withProgress(endpoint.message, kept?.progress))
      if (resize !== undefined) socket.sendText(resize)
      stop = confirmSilence(socket, attempt, accept)
    },
    onMessage: () => accept(undefined),
    onEnd: outcome.resolve,
  })
  try {
    const failure = await abortable(outcome.promise, signal)
    if (!failure) return { socket, sink }
    socket.drop()
    return { failure }
  } catch (error) {
    stop?.()
    // Only a session that was created for this terminal is deleted with the attempt (PROTOCOL 6.7).
    if (lease.origin === 'orchestrator' && socket.isOpen())
      await new Promise<void>((resolve) => endShell(socket, resolve))
    socket.drop()
    throw error
  } finally {
    stop?.()
  }
}

/** Adds to an auth frame what it says of a session that is kept. */
function withProgress(message: string, progress: object | undefined): string {
  return progress ? JSON.stringify({ ...asRecord(parseJson(message)), ...progress }) : message
}

/**
 * Finds out whether a silent server has accepted, because no server confirms the auth frame (PROTOCOL 3.9). It has if
 * it does not close after a heartbeat, and knows the session. Returns a function that stops it.
 */
function confirmSilence(
  socket: UpstreamSocket,
  { settings, sessionOptions, lease }: Attempt,
  resolve: (failure: 'session gone' | undefined) => void,
): () => void {
  const isLate = lease.origin === 'orchestrator' && sessionOptions.chatId !== undefined
  const { settle = isLate ? LATE_SETTLE_MS : SETTLE_MS, watch, timeout } = settings
  const start = performance.now()
  // Absent until the heartbeat: most servers have sent output by then, and nothing has to be stopped.
  let cancellation: Cancellation | undefined

  async function confirm(signal: AbortSignalLike): Promise<'session gone' | undefined> {
    socket.sendText(HEARTBEAT)
    // Whoever looks on may not own the session. But a gateway that still asks who it is answers no request sooner.
    const look = lookUpSession(sessionOptions, watch ? timeout : Math.max(settle, SHORTEST_LOOK_UP_MS), signal)
    // A failed look-up says nothing about the session.
    if ((await look.catch(() => 'unknown')) === undefined && !watch) return 'session gone'
    for (; isLate && performance.now() < start + settle; socket.sendText(HEARTBEAT))
      await delay(HEARTBEAT_DELAY_MS, signal)
    await delay(watch ? settle : Math.max(0, start + settle - performance.now()), signal)
    return undefined
  }

  const timer = setTimeout(
    () => {
      cancellation = new Cancellation()
      // It rejects only when it is stopped, and then means nothing.
      confirm(cancellation).then(resolve, () => {})
    },
    Math.min(HEARTBEAT_DELAY_MS, settle / 2),
  )
  return () => {
    clearTimeout(timer)
    cancellation?.abort()
  }
}

/**
 * Opens a socket whose messages go to a new sink. A function of its own, so that the socket, which lives as long as the
 * terminal, keeps nothing of the attempt in memory.
 */
function open<S extends Sink>({ settings, endpoint, url, action }: Attempt, createSink: CreateSink<S>): Dialled<S> {
  try {
    const socket = new UpstreamSocket(settings.Socket, url, endpoint.headers)
    const sink = createSink(socket)
    socket.receiver = sink
    return { socket, sink }
  } catch (error) {
    // A browser refuses some URLs, and quotes the URL in its error.
    throw failureError(action, withoutSecrets(error, endpoint.redact))
  }
}
