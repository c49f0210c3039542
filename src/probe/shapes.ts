import { WebSocket } from 'ws'
import { abortable, delay } from '../lib/deadline.ts'
import { withoutSecrets, type Redact } from '../lib/errors.ts'
import { openLink, type Ending } from '../terminal/websocket.ts'
import { failed, type ProbeOutcome } from './facts.ts'

/** What to dial with. */
export interface Shape {
  readonly url: string
  readonly headers: Record<string, string>
  /** The auth frame, if it is to be sent. */
  readonly message: string | undefined
  /** For what the server says. */
  readonly redact: Redact
}

/** A terminal that has been dialled, and not been hung up on yet. */
export interface Held {
  readonly outcome: ProbeOutcome
  /** Resolves after so many ms, or when it has ended by then, with how. */
  readonly silence: (ms: number) => Promise<ProbeOutcome | undefined>
  /** Presses Enter, and resolves with what comes of it. */
  readonly pressEnter: () => Promise<ProbeOutcome>
}

// As long as servers wait for the auth frame, and a little longer.
const AUTH_PATIENCE = 11_000
// By then a shell has shown its prompt, if it has one.
const PROMPT_PATIENCE = 1_000
// For 5 s an orchestrator that cannot reach its container says nothing.
const ANSWER_PATIENCE = 8_000
const ENTER = Uint8Array.of(13).buffer
const attached: ProbeOutcome = { outcome: 'attached', detail: '' }

/** Dials, and lends what comes of it; hangs up once `use` is done. */
export async function dialShape<T>(
  { url, headers, message, redact }: Shape,
  timeout: number,
  signal: AbortSignal | undefined,
  use: (held: Held) => Promise<T>,
): Promise<T> {
  let body = ''
  /** Hears what a handshake was refused with before the link, which only looks at the status, ends it. */
  class Attentive extends WebSocket {
    constructor(...parameters: ConstructorParameters<typeof WebSocket>) {
      super(...parameters)
      this.once('unexpected-response', (_request, response) => {
        const { 'content-type': type, 'content-length': length } = response.headers
        // The servers refuse without a body. A body comes from something in between.
        if (length !== '0') body = isHtml(type) ? 'a web page' : 'with a text'
      })
    }
  }
  let announce: () => void
  const nextOutput = (): Promise<void> => new Promise((resolve) => (announce = resolve))
  let output = nextOutput()
  const link = openLink(Attentive, url, headers, () => {
    announce()
    output = nextOutput()
  })
  const done = new AbortController()
  const ended = link.ended.then((ending) => describe(ending, body, redact))
  const silence = (ms: number): Promise<ProbeOutcome | undefined> => Promise.race([ended, delay(ms, done.signal)])

  function answer(some: Promise<void>, patience: number): Promise<ProbeOutcome | undefined> {
    return Promise.race([some.then(() => attached), silence(Math.min(timeout, patience))])
  }

  async function pressEnter(): Promise<ProbeOutcome> {
    const more = output
    // If it cannot be pressed any more, how it ended is the answer.
    await link.send(ENTER).catch(() => {})
    return (await answer(more, ANSWER_PATIENCE)) ?? { outcome: 'silence', detail: '' }
  }

  async function attach(): Promise<ProbeOutcome> {
    const first = output
    const opening = link.opened.then(() => 'open' as const)
    const state = await Promise.race([opening, silence(timeout)])
    if (state !== 'open') return state ?? failed(`no answer to the handshake in ${timeout} ms`)
    if (message !== undefined) link.sendText(message)
    return (await answer(first, message === undefined ? AUTH_PATIENCE : PROMPT_PATIENCE)) ?? pressEnter()
  }

  try {
    return await abortable(
      attach().then((outcome) => use({ outcome, silence, pressEnter })),
      signal,
    )
  } finally {
    done.abort()
    link.close(false)
    await link.ended
  }
}

function describe({ opened, status, code, reason, failure }: Ending, body: string, redact: Redact): ProbeOutcome {
  if (status !== undefined) return { outcome: 'refused', status, detail: body }
  if (!opened) return failed(withoutSecrets(failure, redact).message)
  return { outcome: 'closed', closeCode: code, detail: redact(reason) }
}

/** Whether an answer is a web page. */
export function isHtml(contentType: string | null | undefined): boolean {
  return /^text\/html/i.test(String(contentType))
}
