import { wrongType } from '../lib/arguments.ts'
import { withCallSite } from '../lib/call-site.ts'
import { Cancellation } from '../lib/cancellation.ts'
import { Deferred } from '../lib/deferred.ts'
import { hasCode, TerminalError } from '../lib/errors.ts'
import { CLOSE_NORMAL } from '../upstream/close-codes.ts'
import { terminalError } from '../upstream/failures.ts'
import { encodeResize, type TerminalSize } from '../upstream/protocol.ts'
import { attachTerminal } from './attach.ts'
import type { UpstreamConnection } from './connection.ts'
import { KeptSession, type KeptSessionOwner } from './kept-session.ts'
import { callListener, Output } from './output.ts'
import { Resuming, TRY_TIMEOUT_MS } from './resuming.ts'
import type { Settings } from './settings.ts'
import type { TerminalClose, TerminalConnection, TerminalStatus } from './types.ts'

/** A terminal, over one connection after another. */
export class ResumableTerminal {
  readonly #closed = new Deferred<TerminalClose>()
  readonly #listeners = new Set<Listener<TerminalStatus>>()
  readonly #gapListeners = new Set<Listener<number>>()
  readonly #sizeListeners = new Set<Listener<TerminalSize>>()
  // Stops the tries to resume when the caller closes the terminal.
  readonly #closing = new Cancellation()
  readonly #kept: KeptSession
  readonly #output: Output
  // With the `resize` of the last size.
  #settings: Settings
  #status: TerminalStatus = 'open'
  // The tries to resume after the latest cut. Absent before the first.
  #resuming: Resuming | undefined
  // The most bytes of output that were known at a cut.
  #known = 0
  // The last size of the window of a session that is watched. Absent before the first.
  #size: TerminalSize | undefined
  // Whether the caller has left with `detach`, and not with `close`.
  #isDetached = false
  // The latest connection. Set by `open`.
  #connection!: UpstreamConnection

  private constructor(settings: Settings) {
    const owner: KeptSessionOwner = {
      onEnd: (isResumed) => this.#setStatus(isResumed ? 'reconnecting' : 'closed'),
      onGap: (bytes) => tell(this.#gapListeners, bytes),
      onSize: (size) => tell(this.#sizeListeners, (this.#size = size)),
    }
    this.#kept = new KeptSession(settings.reconnect !== undefined, owner, settings.watch)
    this.#settings = { ...settings, kept: this.#kept }
    this.#output = new Output(settings.maxBuffered, this.#kept)
  }

  /** Opens a terminal, and returns it as users get it. */
  static async open(settings: Settings): Promise<TerminalConnection> {
    const terminal = new ResumableTerminal(settings)
    await terminal.#attach(terminal.#settings)
    void terminal.#run()
    const output = terminal.#output
    const { watch } = settings
    const { sessionId, chatId } = terminal.#connection
    const close = (isDetached = false): Promise<TerminalClose> => {
      // The first call decides.
      if (!terminal.#closing.aborted) terminal.#isDetached = isDetached
      terminal.#closing.abort()
      terminal.#leave()
      return terminal.#closed.promise
    }
    return {
      sessionId,
      chatId,
      closed: terminal.#closed.promise,
      get status() {
        return terminal.#status
      },
      onStatus: (listener) => listen(terminal.#listeners, listener),
      onGap: (listener) => listen(terminal.#gapListeners, listener),
      onResize(listener) {
        const stop = listen(terminal.#sizeListeners, listener)
        // Later, so that the caller first gets the function that removes the listener.
        queueMicrotask(() => {
          if (terminal.#size && terminal.#sizeListeners.has(listener)) listener(terminal.#size)
        })
        return stop
      },
      write(data) {
        const written = withCallSite(() => (watch ? terminal.#refuse() : terminal.#connection.write(data)))
        // A caller that does not await a keystroke must not crash the process.
        written.catch(() => {})
        return written
      },
      resize(cols, rows) {
        const resize = encodeResize(cols, rows)
        // Whoever types sets the size.
        if (watch && terminal.#status !== 'closed') return
        // A window may change its size at any time. The server is told when the session is resumed.
        if (terminal.#status !== 'reconnecting') terminal.#connection.resize(resize)
        terminal.#settings = { ...terminal.#settings, resize }
      },
      onData: (listener) => output.onData(listener),
      close: () => close(),
      detach: () => close(true),
      [Symbol.asyncIterator]: () => output[Symbol.asyncIterator](),
      async [Symbol.asyncDispose]() {
        await close()
      },
    }
  }

  /** Rejects what a client that only looks on has typed. */
  async #refuse(): Promise<never> {
    const action = `Cannot type into the terminal at ${this.#connection.where}`
    const advice = 'Connect without `watch` to type.'
    throw terminalError('ERR_TERMINAL_FORBIDDEN', action, 'it only looks on', { advice })
  }

  async #attach(settings: Settings): Promise<void> {
    const { connection } = await attachTerminal(settings, (source) => this.#output.connectTo(source))
    this.#connection = connection
    if (this.#closing.aborted) this.#leave()
    if (connection.isOpen) this.#setStatus('open')
  }

  /** Ends the connection on the word of the caller, who decides whether the session is deleted. */
  #leave(): void {
    if (this.#isDetached) this.#connection.lease.keep()
    void this.#connection.close()
  }

  /** Resumes the session each time that its connection drops, until it ends. */
  async #run(): Promise<void> {
    let close = await this.#connection.closed
    while (this.#status === 'reconnecting') {
      const cut = close
      close = await this.#resume().then(
        () => this.#connection.closed,
        (problem: unknown) => this.#giveUp(cut, problem),
      )
    }
    this.#closed.resolve(close)
  }

  async #resume(): Promise<void> {
    const { timeout, reconnect } = this.#settings
    const { sessionId, chatId } = this.#connection
    const { received, keepForMs } = this.#kept
    const hasProgress = received > this.#known
    this.#known = Math.max(this.#known, received)
    if (!this.#resuming?.goesOn(hasProgress)) {
      this.#resuming = new Resuming(reconnect?.delay ?? 0, reconnect?.timeout ?? keepForMs)
    }
    const attach = (): Promise<void> => {
      const { upstream, ...settings } = this.#settings
      return this.#attach({
        ...settings,
        upstream: { ...upstream, chatId },
        sessionId,
        createIfGone: false,
        retry: { attempts: 1, delay: 0 },
        timeout: Math.min(timeout, TRY_TIMEOUT_MS),
        signal: this.#closing,
      })
    }
    await this.#resuming.run(attach, this.#closing)
  }

  /**
   * The session cannot be resumed. It is deleted only on the word of the owner: the shell may live, and others may use
   * it.
   */
  async #giveUp(close: TerminalClose, problem: unknown): Promise<TerminalClose> {
    this.#output.end()
    this.#setStatus('closed')
    const isLocal = this.#closing.aborted && !hasCode(problem, 'ERR_TERMINAL_IN_USE')
    await this.#connection.giveUp(isLocal)
    if (this.#closing.aborted) return { code: CLOSE_NORMAL, reason: '', cause: 'local' }
    return { ...close, cause: 'lost', ...(problem instanceof TerminalError && { error: problem }) }
  }

  #setStatus(status: TerminalStatus): void {
    if (this.#status === status) return
    this.#status = status
    // Later, so that a listener that throws disturbs nothing but itself.
    for (const listener of this.#listeners) queueMicrotask(() => listener(status))
  }
}

type Listener<T> = (value: T) => void

/** Adds a listener. Returns a function that removes it. */
function listen<T>(listeners: Set<Listener<T>>, listener: Listener<T>): () => void {
  if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener)
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Calls each listener at once. */
function tell<T>(listeners: Set<Listener<T>>, value: T): void {
  for (const listener of listeners) callListener(listener, value)
}
