import { Cancellation, throwIfAborted } from '../lib/cancellation.ts'
import { abortable, BRIEFLY_MS, delay, LONGEST_TIMER_MS, withDeadline } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { isGone } from '../upstream/failures.ts'
import { endOf, TERMINATED, type CommandEnd, type Killing } from './end.ts'
import { FrameReader } from './frames.ts'
import { killCommand } from './killing.ts'
import { OutputStore } from './output.ts'
import { withPlace } from './places.ts'
import { inputPath, markOf } from './script.ts'
import { LONGEST_WAIT_S, type CommandServer, type CommandStatus } from './server.ts'
import type { CommandSettings } from './settings.ts'
import { createPauses, isTimeout, mayRun, refusalOf, startCommandOnce, unread, uploadInput } from './starting.ts'
import type { CommandOutput } from './types.ts'

// How long requests may fail.
const PATIENCE_MS = 60_000
// How long they may get no answer, as from a server that is full. It forgets a command then (PROTOCOL 9.4).
const SILENCE_MS = 300_000
// Between two requests for output that is read as it comes; longer while none comes.
const LIVE_PAUSE_MS = 50
const QUIET_PAUSE_MS = 500
// As a part of the time: the server reads the whole log for each answer (PROTOCOL 9.8).
const PAUSE_PER_ANSWER = 3
/** One command, from its place at the server to its end. */
export class CommandRun {
  /** The server's id; `''` before the start. */
  id = ''
  readonly output: OutputStore = new OutputStore(() => this.#pace?.abort())
  readonly #settings: CommandSettings
  readonly #server: CommandServer
  readonly #frames: FrameReader
  readonly #twins = new Set<string>()
  // Aborts when nothing more can come, or nobody waits for it.
  readonly #over = new Cancellation()
  readonly #followed = new Deferred<'ended'>()
  // Ends a wait that may be long.
  #pace: Cancellation | undefined
  #isSent = false
  #isLate = false
  #neverRuns = false
  #reason: { readonly value: unknown } | undefined
  #killedBy: Killing | undefined
  #killing: Promise<void> | undefined

  constructor(settings: CommandSettings, server: CommandServer) {
    this.#settings = settings
    this.#server = server
    this.#frames = new FrameReader((output) => this.#push(output))
    this.#over.addEventListener('abort', () => this.#pace?.abort())
  }

  /** Runs the command, and calls `onStart` when the server has it. Rejects when its end is not known. */
  run(onStart: () => void): Promise<CommandEnd> {
    const { base, concurrency, signal } = this.#settings
    return withPlace(base, concurrency, signal, async () => {
      const cancel = (): void => this.#stop(signal?.reason)
      signal?.addEventListener('abort', cancel)
      try {
        // It may have aborted just as the place was taken.
        throwIfAborted(signal)
        const end = await this.#run(onStart).catch((error: unknown) => {
          throw this.#reason ? this.#reason.value : error
        })
        if (this.#reason) throw this.#reason.value
        return end
      } finally {
        signal?.removeEventListener('abort', cancel)
        this.#over.abort(new Error('The command has ended'))
        this.output.end()
      }
    })
  }

  /** Ends the command, on the word of the caller. Resolves when it has ended. */
  kill(): Promise<void> {
    if (!this.#killing) {
      this.#killing = this.#kill()
      // Tried again by the next call. Who does not wait for it need not handle it.
      this.#killing.catch(() => (this.#killing = undefined))
    }
    return this.#killing
  }

  async #run(onStart: () => void): Promise<CommandEnd> {
    const { plan, timeout } = this.#settings
    let timer: ReturnType<typeof setTimeout> | undefined
    try {
      if (plan.input === 'file') await abortable(uploadInput(this.#server, this.#settings, this.#over), this.#over)
      this.#isSent = true
      const first = await abortable(startCommandOnce(this.#server, this.#settings, this.#over), this.#over)
      this.id = first.id
      onStart()
      if (timeout !== undefined) timer = setTimeout(() => this.#expire(), timeout)
      const last = await this.#follow(first)
      this.#followed.resolve('ended')
      // A command may end before the answer comes that says that the signal was sent.
      await this.#killing?.catch(() => {})
      const { failure } = this.#frames
      if (failure !== undefined) throw refusalOf(this.#server, failure, plan.cwd)
      const end = endOf(this.#frames, last, this.#killedBy, this.#isLate)
      if (!end) throw mayRun(this.#server, 'the shell around it ended before it could report')
      return { ...end, truncated: end.truncated || this.output.isCut }
    } catch (error) {
      if (!this.#neverRuns) throw error
      // As if the signal had come before its first instruction.
      return { exitCode: TERMINATED, signal: 'SIGTERM', timedOut: this.#isLate, truncated: false }
    } finally {
      clearTimeout(timer)
      const hasRun = this.#frames.exitCode !== undefined
      this.#over.abort()
      if (plan.input === 'file' && !hasRun) await this.#removeInput(inputPath(plan.name))
    }
  }

  /** Deletes the file of a command that has not read it, as far as the server lets us. */
  async #removeInput(path: string): Promise<void> {
    await withDeadline(BRIEFLY_MS, undefined, () => this.#server.remove(path)).catch(() => {})
  }

  /** Ends the command for a reason with which `run` rejects, on the word of the caller's signal or function. */
  #stop(reason: unknown): void {
    if (this.#reason) return
    this.#reason = { value: reason }
    // A failure to end it changes nothing: the caller has a reason already.
    const killed = this.#isSent ? this.kill().catch(() => {}) : Promise.resolve()
    void killed.then(() => this.#over.abort(reason))
  }

  /** Ends the command on the word of the caller's `timeout`. */
  #expire(): void {
    this.#isLate = true
    this.kill().catch((error: unknown) => this.#over.abort(error))
  }

  /** Reads the output until the end, and resolves with the last status. */
  async #follow(first: CommandStatus): Promise<CommandStatus> {
    let quietMs = LIVE_PAUSE_MS
    for (let status = first; ;) {
      this.#frames.push(status.text)
      // The word of the shell, and then that of the server.
      if (this.#frames.hasEnded) return status
      if (!status.isRunning && this.#frames.failure !== 'twin') return status
      if (!status.isRunning) status = await this.#findTwin(status.id)
      while (this.output.isFull && !this.#killing) await this.#rest(LONGEST_TIMER_MS)
      const isLive = this.#settings.isLive || this.output.isRead
      const wait = isLive ? 0 : LONGEST_WAIT_S
      const since = performance.now()
      const next = await this.#askAgain(status, wait)
      const took = performance.now() - since
      quietMs = next.text === '' ? Math.min(2 * quietMs, QUIET_PAUSE_MS) : LIVE_PAUSE_MS
      // A server that has cut its log says so in no other way (PROTOCOL 9.10). What is left of it has to be read again.
      const isCut = next.offset < status.offset
      if (isCut) this.#frames.restart()
      status = isCut ? { ...next, offset: 0, isRunning: true } : next
      if (!status.isRunning) continue
      // A server that was asked to wait, and did not, must not be asked all the time either.
      await this.#rest(Math.max(quietMs, isLive ? PAUSE_PER_ANSWER * took : 0))
    }
  }

  /** Resolves after a pause, or when a loop over the output begins or goes on. */
  async #rest(ms: number): Promise<void> {
    this.#pace = new Cancellation()
    await delay(ms, this.#pace).catch(() => {})
    this.#pace = undefined
    throwIfAborted(this.#over)
  }

  /** Asks for the next status until there is an answer. */
  async #askAgain(status: CommandStatus, wait: number): Promise<CommandStatus> {
    const since = performance.now()
    for (const nextPause = createPauses(); ; await delay(nextPause(), this.#over)) {
      // What can be done while a request waits for the end, and not when it has its answer.
      if (wait > 0) this.#pace = new Cancellation()
      const pace = this.#pace ?? this.#over
      try {
        return await this.#server.status(status, wait, pace)
      } catch (error) {
        throwIfAborted(this.#over)
        if (pace.aborted) return { ...status, text: '' }
        const patience = isTimeout(error) ? SILENCE_MS : PATIENCE_MS
        if (isGone(error) || performance.now() - since > patience) throw mayRun(this.#server, error)
      } finally {
        this.#pace = undefined
      }
    }
  }

  /** Finds the program that runs the command: the one with this id has found out that another one does. */
  async #findTwin(id: string): Promise<CommandStatus> {
    this.#twins.add(id)
    this.#frames.failure = undefined
    const since = performance.now()
    for (const nextPause = createPauses(); ; await delay(nextPause(), this.#over)) {
      const ids = await this.#server.find(markOf(this.#settings.plan.name)).catch(() => [])
      this.id = ids.find((each) => !this.#twins.has(each)) ?? id
      if (this.id !== id) return unread(this.id)
      if (performance.now() - since < PATIENCE_MS) continue
      throw mayRun(this.#server, 'the server does not list it any more')
    }
  }

  async #kill(): Promise<void> {
    this.#pace?.abort()
    const said = await killCommand(this.#server, this.#settings, {
      hasEnded: this.#followed.promise,
      isUnwatched: () => this.#over.aborted,
      onSignal: (signal, isSure) => void (this.#killedBy = { signal, isSure: isSure || !!this.#killedBy?.isSure }),
    })
    if (said === 'ended') return
    if (await this.#hasBegun()) throw mayRun(this.#server, 'its folder in /tmp is gone, by which it is ended')
    this.#neverRuns = true
    this.#over.abort()
  }

  /** Whether the program around the command has begun, as far as the server has told or tells now. */
  async #hasBegun(): Promise<boolean> {
    if (this.#frames.hasBegun || this.id === '') return this.#frames.hasBegun
    const { text } = await this.#server.status(unread(this.id), 0, this.#over)
    return /^b\r?$/m.test(text)
  }

  #push(output: CommandOutput): void {
    this.output.push(output)
    if (this.#reason) return
    try {
      this.#settings.onOutput[output.stream](output.data)
    } catch (error) {
      this.#stop(error)
    }
  }
}
