import type { Redact } from '../errors.ts'
import { said, type Reply } from '../sessions.ts'
import { whereOf } from '../url.ts'
import { ask, type Context } from './context.ts'
import { count, failed, ok, type Answer, type Facts, type ProbeOutcome } from './facts.ts'
import { isHtml } from './shapes.ts'

/** An id that nothing has; it also tells whoever reads the server's log. */
export const NOWHERE = 'terminal-upstream-probe'

/** Lists the sessions; where that works, finds out from a few more requests which server it is. */
export async function checkRequests(context: Context, facts: Facts): Promise<ProbeOutcome> {
  const { headers, httpUrl, redact } = context.upstream
  const url = httpUrl()
  const reply = await ask(context, url, headers)
  const { status, json } = reply
  if (status !== 200 || !Array.isArray(json)) {
    const answer = readAnswer(reply, url, redact)
    facts.answer = answer
    if (status === 404) facts.terminalsOff = saysOff((await ask(context, beside(url, '/api/config'), headers)).json)
    return { ...failed(describe(answer)), status }
  }
  const { 'X-User-Id': _, ...nameless } = headers
  facts.orchestrator = (await ask(context, url, nameless)).status === 422
  if (facts.orchestrator) {
    const elsewhere = { ...headers, 'X-Terminal-Context-Id': NOWHERE }
    facts.contexts = (await ask(context, url, elsewhere)).status === 400
  } else {
    // Not of an orchestrator: it would start a container to answer.
    facts.version = versionIn((await ask(context, beside(url, '/openapi.json'), headers)).json)
  }
  facts.chatIsOpen = json.some((session: unknown) => idOf(session) === facts.chatId)
  // What every real server, and each in a row of them, says of itself.
  const others = (reply.headers.get('server') ?? '').replaceAll(/uvicorn(?:, )?/g, '')
  return ok(`accepted, ${count(json.length, 'session')}${others === '' ? '' : `, through ${redact(others)}`}`)
}

function readAnswer({ status, headers, json }: Reply, url: string, redact: Redact): Answer {
  const location = headers.get('location')
  return {
    status,
    html: isHtml(headers.get('content-type')),
    said: redact(said(json)),
    location: location === null ? undefined : redact(whereOf(beside(new URL(location, url).href, ''))),
  }
}

function describe({ html, said: words, location }: Answer): string {
  if (location !== undefined) return `redirected to ${location}`
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
  return info?.title === 'Open Terminal' && typeof info.version === 'string' ? info.version : undefined
}

function idOf(session: unknown): unknown {
  const { id }: { id?: unknown } = Object(session)
  return id
}
