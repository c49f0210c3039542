import { typeName } from '../lib/arguments.ts'
import { hasCode, TerminalError } from '../lib/errors.ts'

// A warning is not repeated before.
const PAUSE_MS = 60_000
// Warnings in that time. A server may be in front of thousands of upstreams, and its key may be wrong for all of them.
const MOST = 100

/**
 * Tells the operator what nobody else can mend, as warnings of the process: by default they are on stderr, where
 * somebody looks who has not subscribed to any channel.
 */
export class Warnings {
  // When each warning was given last, by its code and upstream.
  readonly #given = new Map<string, number>()

  /**
   * Warns if an upstream does not accept the credentials of the operator. `areUsers` says that they are the user's own:
   * then the user can mend it, and is told so.
   */
  onRefusal(base: string, error: unknown, areUsers: boolean): void {
    const message = areUsers ? undefined : messageOfRefusal(error)
    if (message === undefined) return
    this.warn('ERR_TERMINAL_UNAUTHORIZED', `An upstream does not let a terminal gateway in. ${message}`, base)
  }

  /** Warns if an upstream refuses a new session for another reason, such as a path or a policy that is not there. */
  onNotAccepted(base: string, error: unknown): void {
    if (!(error instanceof TerminalError) || error.code === 'ERR_TERMINAL_UNAUTHORIZED') return
    this.warn(error.code, `An upstream does not accept what a terminal gateway sends. ${error.message}`, base)
  }

  /** Warns, at most once a minute for each code and upstream. The message holds no secret. */
  warn(code: string, message: string, base = ''): void {
    const now = performance.now()
    const key = `${code} ${base}`
    for (const [each, at] of this.#given) if (now - at >= PAUSE_MS) this.#given.delete(each)
    // A warning that is about no upstream is about all clients. There are few of them, and none must be crowded out.
    if (this.#given.has(key) || (base !== '' && this.#given.size >= MOST)) return
    this.#given.set(key, now)
    // Not every runtime has it.
    globalThis.process?.emitWarning?.(message, { type: 'TerminalGatewayWarning', code })
  }
}

/** Returns the message of an error that says that the credentials were refused. */
function messageOfRefusal(error: unknown): string | undefined {
  try {
    return hasCode(error, 'ERR_TERMINAL_UNAUTHORIZED') ? error.message : undefined
  } catch {
    // A hostile value throws when it is asked anything.
    return undefined
  }
}

/** Returns what kind of error the operator's code has thrown, and where, but not what it says: that may hold a key. */
export function kindOf(thrown: unknown): string {
  try {
    const { name, code, message, stack } = Object(thrown)
    const words =
      [name, code].filter((word) => typeof word === 'string' && /^\w{1,60}$/.test(word)).join(' ') ||
      `a value of the type ${typeName(thrown)}`
    const [said, all] = [String(message), String(stack ?? '')]
    // A message that has changed since does not show where the frames begin, and a client may have chosen its words.
    const frames = all.includes(said) ? all.slice(all.indexOf(said) + said.length).split('\n') : []
    const places = frames.flatMap(
      (frame) => /^ *at (?:async )?(?:.*\()?(?!node:)([^()\p{Cc}]+:\d+:\d+)\)?$/u.exec(frame)?.[1] ?? [],
    )
    return places[0] === undefined ? words : `${words} at ${places[0]}`
  } catch {
    return 'a value that cannot be read'
  }
}
