import type { Redact } from '../lib/errors.ts'
import { serverMessage, type Reply } from '../upstream/requests.ts'
import { whereOf } from '../upstream/url.ts'
import { ask, type Context } from './context.ts'
import { count, failed, ok, type Answer, type Facts, type ProbeOutcome } from './facts.ts'
import { isHtml } from './shapes.ts'

/** An id that no session has. It also tells the reader of the server's log what asked. */
export const NOWHERE = 'terminal-upstream-probe'

/** What a base is followed by. */
export function pathOf(policyId: string | undefined): string {
  return `${policyId === undefined ? '' : `/p/${encodeURIComponent(policyId)}`}/api/terminals`
}

// ms for what is good to know, but not needed.
const CURIOSITY = 5_000

/** Lists the sessions; where that works, finds out from a few more requests which server it is. */
export async function checkRequests(context: Context, facts: Facts): Promise<ProbeOutcome> {
  const { headers, httpUrl, redact } = context.upstream
  const url = httpUrl()
  const reply = await ask(context, url, headers)
  const { status, json } = reply
  const also = (other: string, others = headers): Promise<Partial<Reply>> =>
    ask(context, other, others, CURIOSITY).catch(() => ({}))
  if (status !== 200 || !Array.isArray(json)) {
    const answer = readAnswer(reply, url, facts, redact)
    facts.answer = answer
    if (status === 404) facts.terminalsOff = saysOff((await also(beside(url, '/api/config'))).json)
    return { ...failed(describe(answer)), status }
  }
  const { 'X-User-Id': _, ...nameless } = headers
  facts.contexts = (await also(url, { ...headers, 'X-Terminal-Context-Id': NOWHERE })).status === 400
  facts.orchestrator = facts.contexts || (await also(url, nameless)).status === 422
  // An orchestrator would start a container to answer.
  if (!facts.orchestrator) facts.version = versionIn((await also(beside(url, '/openapi.json'))).json)
  const { chatId } = facts
  facts.chatIsOpen = chatId !== undefined && json.some((session: unknown) => idOf(session) === chatId)
  // What every real server, and each in a row of them, says of itself.
  const others = (reply.header('server') ?? '').replaceAll(/uvicorn(?:, )?/g, '')
  return ok(`accepted, ${count(json.length, 'session')}${others === '' ? '' : `, through ${redact(others)}`}`)
}

function readAnswer({ status, header, json }: Reply, url: string, { policyId }: Facts, redact: Redact): Answer {
  const location = header('location')
  return {
    status,
    html: isHtml(header('content-type')),
    said: redact(serverMessage(json)),
    redirect: location === undefined ? undefined : readLocation(location, url, policyId, redact),
  }
}

function readLocation(location: string, url: string, policyId: string | undefined, redact: Redact): Answer['redirect'] {
  let place: string
  try {
    place = redact(whereOf(new URL(location, url).href))
  } catch {
    return { place: 'nowhere' }
  }
  const path = pathOf(policyId)
  const base = place.replace(/\/$/, '')
  return base.endsWith(path) ? { place, base: base.slice(0, -path.length) } : { place }
}

function describe({ html, said: words, redirect }: Answer): string {
  if (redirect) return `redirected to ${redirect.place}`
  return html ? 'a web page' : words
}

/** The URL of something else that the server has. */
function beside(url: string, path: string): string {
  const other = new URL(url)
  other.pathname = other.pathname.replace(/\/api\/terminals$/, path)
  return other.href
}

/** Whether an Open Terminal says that it has no terminals. */
function saysOff(json: unknown): boolean {
  const { features }: { features?: { terminal?: unknown } } = Object(json)
  return features?.terminal === false
}

function versionIn(json: unknown): string | undefined {
  const { info }: { info?: { title?: unknown; version?: unknown } } = Object(json)
  const [version] = /^\d+\.\d+\.\d+\w{0,9}$/.exec(String(info?.version)) ?? []
  return info?.title === 'Open Terminal' ? version : undefined
}

function idOf(session: unknown): unknown {
  const { id }: { id?: unknown } = Object(session)
  return id
}
