import { withDeadline } from '../lib/deadline.ts'
import { evidenceOf } from '../upstream/advice.ts'
import { asRecord, exchange, oneWord, serverMessage, type Reply } from '../upstream/requests.ts'
import { withoutQuery } from '../upstream/url.ts'
import type { Context } from './context.ts'
import { failed, isBehindOpenWebUI, isHtml, loginOf, ok, SERVER_PATH } from './facts.ts'
import type { ProbeOutcome, Rejection } from './facts.ts'

/** An id that no session has. It also tells readers of the server's log where the request comes from. */
export const UNKNOWN_ID = 'terminal-upstream-probe'

// For an answer that the probe can do without.
const OPTIONAL_TIMEOUT_MS = 5_000

/** Lists the sessions. If that works, a few more requests find out which server it is. */
export async function checkRequests(context: Context): Promise<ProbeOutcome> {
  const { facts, endpoint, listUrl } = context
  const { headers, redact } = endpoint
  const reply = await send(context, listUrl, headers)
  const { status, header, json } = reply
  const tryGet = (url: string, others = headers): Promise<Partial<Reply>> =>
    send(context, url, others, 'GET', OPTIONAL_TIMEOUT_MS).catch(() => ({}))
  // The URL of another path of the server.
  const beside = (path: string): string => {
    const url = new URL(listUrl)
    url.pathname = url.pathname.replace(/\/api\/terminals$/, path)
    return url.href
  }
  if (status !== 200 || !Array.isArray(json)) {
    facts.rejected = readRejection(reply, context)
    const { Origin, ...asNoPage } = headers
    if (Origin !== undefined) facts.worksWithoutOrigin = (await tryGet(listUrl, asNoPage)).status === 200
    if (status === 404) {
      const { features } = asRecord((await tryGet(beside('/api/config'))).json)
      facts.terminalsOff = asRecord(features)['terminal'] === false
    }
    return { ...failed(describeRejection(facts.rejected)), status }
  }
  facts.hiddenFromPages = await whyHiddenFromPages(context, reply)
  if (facts.hiddenFromPages !== undefined) return failed(facts.hiddenFromPages)
  const { 'X-User-Id': _, ...withoutUser } = headers
  facts.contexts = (await tryGet(listUrl, { ...headers, 'X-Terminal-Context-Id': UNKNOWN_ID })).status === 400
  facts.orchestrator = facts.contexts || requiresUser(await tryGet(listUrl, withoutUser))
  if (isBehindOpenWebUI(facts)) {
    // It tells everybody its version (PROTOCOL 7.6).
    const { json: about } = await tryGet(facts.url.href.replace(SERVER_PATH, '/api/version'), {})
    facts.openWebUi = versionNumber(asRecord(about)['version'])
    // It adds the user itself, and passes the other headers of the answer on (PROTOCOL 2.16).
    facts.orchestrator = header('x-request-id') !== undefined
  }
  // An orchestrator would start a container to answer this, also one that could not be recognized.
  if (facts.orchestrator === false) {
    const { info } = asRecord((await tryGet(beside('/openapi.json'))).json)
    const { title, version } = asRecord(info)
    facts.version = title === 'Open Terminal' ? versionNumber(version) : undefined
    facts.knowsUserShell = saysUserShell(await tryGet(endpoint.httpUrl('user', 'output')))
  }
  const { chatId, openWebUi } = facts
  facts.chatIsOpen = chatId !== undefined && json.some((session: unknown) => asRecord(session)['id'] === chatId)
  // Every terminal server adds `uvicorn`. Only the names of proxies are of interest.
  const proxies = redact((header('server') ?? '').replaceAll(/uvicorn(?:, )?/g, ''))
  const through = [openWebUi && `Open WebUI ${openWebUi}`, proxies].filter(Boolean).join(' and ')
  return ok(`accepted, ${countSessions(json.length)}${through === '' ? '' : `, through ${through}`}`)
}

/** Sends a request; waits for `longest` ms, but never longer than for other answers. */
function send(
  { timeout, signal }: Context,
  url: string,
  headers: Record<string, string>,
  method = 'GET',
  longest = timeout,
): Promise<Reply> {
  const ms = Math.min(timeout, longest)
  return withDeadline(ms, signal, (limit) => exchange(url, { method, headers, signal: limit }))
}

/** Whether the answer to a request without a user is an orchestrator's; `undefined` if it is nobody's, or a proxy's. */
function requiresUser({ status = 0 }: Partial<Reply>): boolean | undefined {
  if (status === 422) return true
  return status === 0 || status === 429 || status >= 500 ? undefined : false
}

/** Whether an answer is about the user's shell; `undefined` if it is no answer of a terminal server (PROTOCOL 2.17). */
function saysUserShell({ json }: Partial<Reply>): boolean | undefined {
  if ('output' in asRecord(json) || serverMessage(json) === 'No connected user shell') return true
  return serverMessage(json) === 'Not Found' ? false : undefined
}

function versionNumber(version: unknown): string | undefined {
  const [number] = /^\d+\.\d+\.\d+\w{0,9}$/.exec(typeof version === 'string' ? version : '') ?? []
  return number
}

/** Returns a number of sessions in words. */
export function countSessions(count: number): string {
  return `${count} session${count === 1 ? '' : 's'}`
}

function readRejection({ status, header, json }: Reply, context: Context): Rejection {
  const { listUrl, target, endpoint } = context
  const { contextId } = target
  const { hasKey, redact } = endpoint
  const says = serverMessage(json)
  const action = `Cannot list the terminal sessions at ${withoutQuery(listUrl)}`
  return {
    evidence: { action, status, step: 'GET', says, hasKey, contextId, ...evidenceOf(header) },
    reason: redact(says),
    redirect: readRedirect(header('location'), context),
  }
}

function readRedirect(location: string | undefined, { listUrl, target, endpoint }: Context): Rejection['redirect'] {
  if (location === undefined) return undefined
  if (!URL.canParse(location, listUrl)) return { place: 'nowhere' }
  const { protocol, host, pathname } = new URL(location, listUrl)
  const place = oneWord(endpoint.redact(`${protocol}//${host}${pathname}`))
  const { policyId } = target
  const path = `${policyId === undefined ? '' : `/p/${encodeURIComponent(policyId)}`}/api/terminals`
  const list = place.replace(/\/$/, '')
  return list.endsWith(path) ? { place, base: list.slice(0, -path.length) } : { place }
}

function describeRejection({ evidence, reason, redirect }: Rejection): string {
  if (redirect) return `redirected to ${redirect.place}`
  const login = loginOf(evidence)
  if (login !== undefined) return `wants a ${login} login`
  return isHtml(evidence) ? 'a web page' : reason
}

/**
 * Returns why a page of `origin` cannot read the answers of a server; `undefined` if it can, or without `origin`.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 */
async function whyHiddenFromPages(context: Context, answer: Reply): Promise<string | undefined> {
  const { listUrl, target } = context
  const { origin } = target
  if (origin === undefined || new URL(listUrl).origin === origin) return undefined
  const isReadable = ({ header }: Reply): boolean => ['*', origin].includes(header('access-control-allow-origin') ?? '')
  if (!isReadable(answer)) return 'the answer to a request does not allow it'
  // A browser asks before it sends a request with an Authorization header, and sends no key with the question.
  const question = {
    Origin: origin,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization,x-user-id',
  }
  const preflight = await send(context, listUrl, question, 'OPTIONS')
  if (preflight.status < 300 && isReadable(preflight)) return undefined
  return `the answer to the preflight is HTTP ${preflight.status}, and does not allow it`
}
