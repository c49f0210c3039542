import { abortable, delay } from '../lib/deadline.ts'
import { Deferred } from '../lib/deferred.ts'
import { withoutSecrets, type Redact } from '../lib/errors.ts'
import { WebSocket } from '../lib/ws.ts'
import { UpstreamSocket, type SocketEnd } from '../terminal/socket.ts'
import { evidenceOf } from '../upstream/advice.ts'
import { asRecord, parseJson } from '../upstream/requests.ts'
import { resolveEndpoint } from '../upstream/options.ts'
import type { Context, Target } from './context.ts'
import { failed, isHtml, type Found, type ProbeOutcome, type ProbeShape } from './facts.ts'

/** One attach. */
export interface Attach {
  readonly shape: ProbeShape
  readonly sessionId: string
  /** Whether the key is in the URL, if it may be there. */
  readonly keyInUrl?: boolean
  /** What differs from the caller's options. */
  readonly changes?: Partial<Target>
}

/** A terminal that has been dialled, with the connection still there if the server has not ended it. */
export interface DialledTerminal {
  readonly outcome: ProbeOutcome
  /** Waits. Resolves with `undefined` after `ms`, or with how the connection ended, as soon as it does. */
  readonly wait: (ms: number) => Promise<ProbeOutcome | undefined>
  /** Presses Enter. Resolves with what the server does then. */
  readonly pressEnter: () => Promise<ProbeOutcome>
}

// Servers wait 10 s for the auth frame.
const AUTH_TIMEOUT_MS = 11_000
// A shell shows its prompt in this time, if it has one.
const PROMPT_TIMEOUT_MS = 1_000
// An orchestrator that cannot reach its container says so after 5 s.
const ENTER_TIMEOUT_MS = 8_000
const ENTER = Uint8Array.of(13).buffer
const ATTACHED: ProbeOutcome = { outcome: 'attached', detail: '' }

/** Dials, calls `use` with the terminal, and closes the connection. Without `use`, resolves with the outcome. */
export async function dial(
  context: Context,
  attach: Attach,
  use: (terminal: DialledTerminal) => Promise<Found> = async ({ outcome }) => outcome,
): Promise<Found> {
  const { facts, endpoint, timeout, signal } = context
  const { url, headers, message, redact } = await prepare(context, attach)
  let answer = new Deferred()
  const push = (data: Uint8Array, isBinary: boolean): void => {
    if (!isBinary && isGatewaysAnswer(data)) facts.isGateway = true
    answer.resolve()
  }
  const socket = new UpstreamSocket(WebSocket, url, headers)
  socket.receiver = { push }
  const [opened, closed] = [new Deferred<'open'>(), new Deferred<SocketEnd>()]
  socket.observe({ onOpen: () => opened.resolve('open'), onEnd: closed.resolve })
  const done = new AbortController()
  // A `key` function may return another key each time. The server may quote both.
  const ended = closed.promise.then((ending) => readEnding(ending, (text) => redact(endpoint.redact(text))))
  const wait = (ms: number): Promise<ProbeOutcome | undefined> => Promise.race([ended, delay(ms, done.signal)])
  const waitForAnswer = (longest: number): Promise<ProbeOutcome | undefined> =>
    Promise.race([answer.promise.then(() => ATTACHED), wait(Math.min(timeout, longest))])

  async function pressEnter(): Promise<ProbeOutcome> {
    answer = new Deferred()
    // After the end of the connection, how it ended is the outcome.
    await socket.send(ENTER).catch(() => {})
    return (await waitForAnswer(ENTER_TIMEOUT_MS)) ?? { outcome: 'silence', detail: '' }
  }

  async function attempt(): Promise<ProbeOutcome> {
    const state = await Promise.race([opened.promise, wait(timeout)])
    if (state !== 'open') return state ?? failed(`no answer to the handshake in ${timeout} ms`)
    if (message !== undefined) socket.sendText(message)
    return (await waitForAnswer(message === undefined ? AUTH_TIMEOUT_MS : PROMPT_TIMEOUT_MS)) ?? pressEnter()
  }

  try {
    const using = attempt().then((outcome) => use({ outcome, wait, pressEnter }))
    return await abortable(using, signal)
  } finally {
    done.abort()
    socket.close(false)
    await ended
  }
}

/** Returns the URL, the headers and the auth frame, `undefined` to send none. */
async function prepare(
  { target, keyMayShow }: Context,
  { shape, sessionId, keyInUrl = false, changes = {} }: Attach,
): Promise<{ url: string; headers: Record<string, string>; message: string | undefined; redact: Redact }> {
  const { headers, message, redact, wsUrl } = await resolveEndpoint({ ...target, ...changes })
  const url = new URL(wsUrl(sessionId, keyInUrl && keyMayShow))
  if (shape === 'no-user') url.searchParams.delete('user_id')
  const { Origin } = headers
  return {
    url: url.href,
    headers: shape === 'no-headers' ? { ...target.headers, ...(Origin !== undefined && { Origin }) } : headers,
    // PROTOCOL 8.1: real servers ignore the offset, and a gateway answers to it.
    message: shape === 'token' ? undefined : JSON.stringify({ ...JSON.parse(message), offset: null }),
    redact,
  }
}

/** PROTOCOL 8.2: only a gateway answers to the offset in the auth frame. */
function isGatewaysAnswer(data: Uint8Array): boolean {
  const { type, offset } = asRecord(parseJson(new TextDecoder().decode(data)))
  return type === 'attached' && typeof offset === 'number'
}

function readEnding({ opened, status, code, reason, header, failure }: SocketEnd, redact: Redact): ProbeOutcome {
  if (status !== undefined) {
    const evidence = evidenceOf(header ?? (() => undefined))
    // Terminal servers send no body, so a body comes from a proxy.
    const body = isHtml(evidence) ? 'a web page' : 'with a text'
    return { outcome: 'refused', status, detail: evidence.length === '0' ? '' : body }
  }
  if (!opened) return failed(withoutSecrets(failure, redact).message)
  return { outcome: 'closed', closeCode: code, detail: redact(reason) }
}
