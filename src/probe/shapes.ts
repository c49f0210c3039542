import type { AbortSignalLike } from '../lib/cancellation.ts'
import { EventEmitter, once } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import { WebSocket } from '../lib/ws.ts'
import { abortable, delay } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { withoutSecrets, type Redact } from '../lib/errors.ts'
import { UpstreamSocket, type SocketEnd } from '../terminal/socket.ts'
import { type SocketConstructor } from '../terminal/socket-class.ts'
import { asRecord, parseJson } from '../upstream/requests.ts'
import { failed, type ProbeOutcome } from './facts.ts'

/** What an attach sends. */
export interface Shape {
  readonly url: string
  readonly headers: Record<string, string>
  /** The auth frame; `undefined` to send none. */
  readonly message: string | undefined
  /** Removes secrets from what the server says. */
  readonly redact: Redact
  /** Called if a gateway of this package answers. */
  readonly onGateway: () => void
}

/** A terminal that has been dialled, with the connection still there if the server has not ended it. */
export interface DialledTerminal {
  readonly outcome: ProbeOutcome
  /** Waits. Resolves with `undefined` after `ms`, or with how the connection ended, as soon as it does. */
  readonly wait: (ms: number) => Promise<ProbeOutcome | undefined>
  /** Presses Enter. Resolves with what the server does then. */
  readonly pressEnter: () => Promise<ProbeOutcome>
}

// ms. Servers wait 10 s for the auth frame.
const AUTH_TIMEOUT = 11_000
// ms in which a shell shows its prompt, if it has one.
const PROMPT_TIMEOUT = 1_000
// ms. An orchestrator that cannot reach its container says so after 5 s.
const ENTER_TIMEOUT = 8_000
const ENTER = Uint8Array.of(13).buffer
const attached: ProbeOutcome = { outcome: 'attached', detail: '' }

/** Dials, calls `use` with the terminal, and closes the connection. */
export async function dialShape<T>(
  { url, headers, message, redact, onGateway }: Shape,
  timeout: number,
  signal: AbortSignalLike | undefined,
  use: (terminal: DialledTerminal) => Promise<T>,
): Promise<T> {
  // What came with the status of a refused handshake. The socket keeps only the status.
  let body = ''
  const Socket = webSocketWith((refusal) => (body = describeBody(refusal)))
  const output = new EventEmitter()
  const nextOutput = (): Promise<unknown> => once(output, 'data')
  const push = (data: Uint8Array, isBinary: boolean): void => {
    if (!isBinary && isGatewaysAnswer(data)) onGateway()
    output.emit('data')
  }
  const socket = new UpstreamSocket(Socket, url, headers)
  socket.receiver = { push }
  const [opened, closed] = [new Deferred(), new Deferred<SocketEnd>()]
  socket.observe({ onOpen: opened.resolve, onEnd: closed.resolve })
  const done = new AbortController()
  const ended = closed.promise.then((ending) => readEnding(ending, body, redact))
  const wait = (ms: number): Promise<ProbeOutcome | undefined> => Promise.race([ended, delay(ms, done.signal)])

  function waitFor(answer: Promise<unknown>, longest: number): Promise<ProbeOutcome | undefined> {
    return Promise.race([answer.then(() => attached), wait(Math.min(timeout, longest))])
  }

  async function pressEnter(): Promise<ProbeOutcome> {
    const answer = nextOutput()
    // After the end of the connection, how it ended is the outcome.
    await socket.send(ENTER).catch(() => {})
    return (await waitFor(answer, ENTER_TIMEOUT)) ?? { outcome: 'silence', detail: '' }
  }

  async function attach(): Promise<ProbeOutcome> {
    const answer = nextOutput()
    const state = await Promise.race([opened.promise.then(() => 'open' as const), wait(timeout)])
    if (state !== 'open') return state ?? failed(`no answer to the handshake in ${timeout} ms`)
    if (message !== undefined) socket.sendText(message)
    return (await waitFor(answer, message === undefined ? AUTH_TIMEOUT : PROMPT_TIMEOUT)) ?? pressEnter()
  }

  try {
    const attaching = attach().then((outcome) => use({ outcome, wait, pressEnter }))
    return await abortable(attaching, signal)
  } finally {
    done.abort()
    socket.close(false)
    await ended
  }
}

/** PROTOCOL 8.2: only a gateway answers to the offset in the auth frame. */
function isGatewaysAnswer(data: Uint8Array): boolean {
  const { type, offset } = asRecord(parseJson(new TextDecoder().decode(data)))
  return type === 'attached' && typeof offset === 'number'
}

/** Returns a WebSocket class that passes the headers of a refused handshake to `onRefusal`. */
function webSocketWith(onRefusal: (headers: IncomingHttpHeaders) => void): SocketConstructor {
  return class extends WebSocket {
    constructor(...parameters: ConstructorParameters<typeof WebSocket>) {
      super(...parameters)
      // The socket listens, too, and ends the connection. This listener comes first.
      this.once('unexpected-response', (_request, { headers }) => onRefusal(headers))
    }
  }
}

/** Describes the body of a refused handshake. Terminal servers send none, so a body comes from a proxy. */
function describeBody({ 'content-type': type, 'content-length': length }: IncomingHttpHeaders): string {
  if (length === '0') return ''
  return isHtml(type) ? 'a web page' : 'with a text'
}

function readEnding({ opened, status, code, reason, failure }: SocketEnd, body: string, redact: Redact): ProbeOutcome {
  if (status !== undefined) return { outcome: 'refused', status, detail: body }
  if (!opened) return failed(withoutSecrets(failure, redact).message)
  return { outcome: 'closed', closeCode: code, detail: redact(reason) }
}

/** Whether the content type is that of a web page. */
export function isHtml(contentType: string | null | undefined): boolean {
  return /^text\/html/i.test(String(contentType))
}
