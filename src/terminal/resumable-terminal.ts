import { wrongType } from '../lib/arguments.ts'
import { Cancellation } from '../lib/cancellation.ts'
import { delay } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { TerminalError } from '../lib/errors.ts'
import { encodeResize } from '../upstream/protocol.ts'
import { attachTerminal, delayAfter } from './attach.ts'
import type { TerminalClose, TerminalConnection, TerminalStatus } from './connection.ts'
import type { TerminalCore } from './core.ts'
import { Output } from './output.ts'
import type { Settings } from './settings.ts'

// ms for one try to resume.
const RESUME_TIMEOUT = 10_000

/** A terminal, over one connection after another. */
export class ResumableTerminal {
  readonly #closed = new Deferred<TerminalClose>()
  readonly #listeners = new Set<(status: TerminalStatus) => void>()
  // Stops the tries to resume when the caller closes the terminal.
  readonly #closing = new Cancellation()
  readonly #output: Output
  // With the `resize` of the last size.
  #settings: Settings
  #status: TerminalStatus = 'open'
  // The latest connection. Set by `open`.
  #core!: TerminalCore

  private constructor(settings: Settings) {
    this.#settings = settings
    this.#output = new Output(settings.maxBuffered, settings.reconnect.attempts > 0, (isResumed) => {
      this.#setStatus(isResumed ? 'reconnecting' : 'closed')
    })
  }

  /** Opens a terminal, and returns it as users get it. */
  static async open(settings: Settings): Promise<TerminalConnection> {
    const terminal = new ResumableTerminal(settings)
    await terminal.#attach(settings)
    void terminal.#run()
    const output = terminal.#output
    const { sessionId, chatId } = terminal.#core
    const close = (): Promise<TerminalClose> => {
      terminal.#closing.abort()
      void terminal.#core.close()
      return terminal.#closed.promise
    }
    return {
      sessionId,
      chatId,
      closed: terminal.#closed.promise,
      get status() {
        return terminal.#status
      },
      get offset() {
        return output.received
      },
      onStatus(listener) {
        if (typeof listener !== 'function') throw wrongType('listener', 'a function', listener)
        terminal.#listeners.add(listener)
        return () => terminal.#listeners.delete(listener)
      },
      write: (data) => terminal.#core.write(data),
      resize(cols, rows) {
        const resize = encodeResize(cols, rows)
        // A window may change its size at any time. The server is told when the session is resumed.
        if (terminal.#status !== 'reconnecting') terminal.#core.resize(resize)
        terminal.#settings = { ...terminal.#settings, resize }
      },
      onData: (listener) => output.onData(listener),
      close,
      [Symbol.asyncIterator]: () => output[Symbol.asyncIterator](),
      async [Symbol.asyncDispose]() {
        await close()
      },
    }
  }

  async #attach(settings: Settings): Promise<void> {
    const { core } = await attachTerminal(settings, (source) => this.#output.connectTo(source))
    this.#core = core
    if (this.#closing.aborted) void core.close()
    if (core.isOpen) this.#setStatus('open')
  }

  /** Resumes the session each time that its connection drops, until it ends. */
  async #run(): Promise<void> {
    let close = await this.#core.closed
    while (this.#status === 'reconnecting') {
      const cut = close
      close = await this.#resume().then(
        () => this.#core.closed,
        (problem: unknown) => this.#giveUp(cut, problem),
      )
    }
    this.#closed.resolve(close)
  }

  async #resume(): Promise<void> {
    const { timeout, reconnect } = this.#settings
    const { sessionId, chatId } = this.#core
    for (let tryNumber = 1; ; tryNumber += 1) {
      await delay(delayAfter(tryNumber, reconnect), this.#closing)
      const { upstream, ...settings } = this.#settings
      try {
        return await this.#attach({
          ...settings,
          upstream: { ...upstream, chatId },
          sessionId,
          retry: { attempts: 1, delay: 0 },
          timeout: Math.min(timeout, RESUME_TIMEOUT),
          signal: this.#closing,
        })
      } catch (error) {
        if (tryNumber >= reconnect.attempts || isRefusal(error)) throw error
      }
    }
  }

  /** The session cannot be resumed. */
  async #giveUp(close: TerminalClose, problem: unknown): Promise<TerminalClose> {
    this.#output.isKept = false
    this.#output.end(close.code)
    await this.#core.giveUp(problem)
    if (this.#closing.aborted) return { code: 1000, reason: '', cause: 'local' }
    return { ...close, cause: 'lost', ...(problem instanceof TerminalError && { error: problem }) }
  }

  #setStatus(status: TerminalStatus): void {
    if (this.#status === status) return
    this.#status = status
    // Later, so that a listener that throws disturbs nothing but itself.
    for (const listener of this.#listeners) queueMicrotask(() => listener(status))
  }
}

/** Whether another try cannot help. Any other error may come from the network, also that of a key that cannot be fetched. */
function isRefusal(error: unknown): boolean {
  const mayPass = ['ERR_TERMINAL_UNAVAILABLE', 'ERR_TERMINAL_TIMEOUT', 'ERR_TERMINAL_PROTOCOL']
  return error instanceof TerminalError && !mayPass.includes(error.code)
}
