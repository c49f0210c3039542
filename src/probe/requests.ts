import { evidenceOf } from '../upstream/advice.ts'
import { statusError } from '../upstream/failures.ts'
import { asRecord, oneWord, serverMessage, type Reply } from '../upstream/requests.ts'
import { whereOf } from '../upstream/url.ts'
import { sendGet, type Context } from './context.ts'
import { count, failed, ok, type Facts, type ProbeOutcome, type RejectedRequest } from './facts.ts'
import { isBehindOpenWebUI, SERVER_PATH } from './family.ts'
import { whyHiddenFromPages } from './pages.ts'
import { isHtml } from './shapes.ts'

/** An id that no session has. It also tells readers of the server's log where the request comes from. */
export const UNKNOWN_ID = 'terminal-upstream-probe'

// ms to wait for an answer that the probe can do without.
const OPTIONAL_TIMEOUT = 5_000

/** Lists the sessions. If that works, a few more requests find out which server it is. */
export async function checkRequests(context: Context, facts: Facts): Promise<ProbeOutcome> {
  const { upstream, listUrl } = context
  const { headers, redact } = upstream
  const reply = await sendGet(context, listUrl, headers)
  const { status, json } = reply
  const tryGet = (url: string, others = headers): Promise<Partial<Reply>> =>
    sendGet(context, url, others, OPTIONAL_TIMEOUT).catch(() => ({}))
  if (status !== 200 || !Array.isArray(json)) {
    const rejected = readRejection(reply, context)
    facts.rejected = rejected
    const { Origin, ...asNoPage } = headers
    if (Origin !== undefined) facts.worksWithoutOrigin = (await tryGet(listUrl, asNoPage)).status === 200
    if (status === 404) facts.terminalsOff = saysTerminalsOff(await tryGet(besideSessions(listUrl, '/api/config')))
    return { ...failed(describeRejection(rejected)), status }
  }
  facts.hiddenFromPages = await whyHiddenFromPages(context, reply)
  if (facts.hiddenFromPages !== undefined) return failed(facts.hiddenFromPages)
  const { 'X-User-Id': _, ...withoutUser } = headers
  facts.contexts = (await tryGet(listUrl, { ...headers, 'X-Terminal-Context-Id': UNKNOWN_ID })).status === 400
  facts.orchestrator = facts.contexts || requiresUser(await tryGet(listUrl, withoutUser))
  if (isBehindOpenWebUI(facts)) {
    facts.openWebUi = versionOfOpenWebUI(
      await tryGet(new URL(facts.url.href.replace(SERVER_PATH, '/api/version')).href, {}),
    )
    // It adds the user itself, and passes the other headers of the answer on (PROTOCOL 2.16).
    facts.orchestrator = reply.header('x-request-id') !== undefined
  }
  // An orchestrator would start a container to answer this, also one that could not be recognized.
  if (facts.orchestrator === false) {
    facts.version = versionIn(await tryGet(besideSessions(listUrl, '/openapi.json')))
    facts.knowsUserShell = saysUserShell(await tryGet(upstream.httpUrl('user', 'output')))
  }
  const { chatId } = facts
  facts.chatIsOpen = chatId !== undefined && json.some((session: unknown) => asRecord(session)['id'] === chatId)
  // Every terminal server adds `uvicorn`. Only the names of proxies are of interest.
  const proxies = (reply.header('server') ?? '').replaceAll(/uvicorn(?:, )?/g, '')
  const through = [facts.openWebUi && `Open WebUI ${facts.openWebUi}`, redact(proxies)].filter(Boolean).join(' and ')
  return ok(`accepted, ${count(json.length, 'session')}${through === '' ? '' : `, through ${through}`}`)
}

/** Whether the answer to a request without a user is that of an orchestrator; `undefined` if it is nobody's, or a proxy's. */
function requiresUser({ status = 0 }: Partial<Reply>): boolean | undefined {
  if (status === 422) return true
  return status === 0 || status === 429 || status >= 500 ? undefined : false
}

function readRejection({ status, header, json }: Reply, context: Context): RejectedRequest {
  const location = header('location')
  const says = serverMessage(json)
  const { contextId } = context.target
  const { hasKey } = context.upstream
  const action = `Cannot list the terminal sessions at ${whereOf(context.listUrl)}`
  const { code } = statusError(action, status)
  return {
    status,
    html: isHtml(header('content-type')),
    login: readLogin(header('www-authenticate')),
    reason: context.upstream.redact(says),
    evidence: { code, action, status, step: 'GET', says, hasKey, contextId, ...evidenceOf(header) },
    redirect: location === undefined ? undefined : readLocation(location, context),
  }
}

/** Returns which login an answer wants, if a browser would ask for it. */
function readLogin(challenge = ''): string | undefined {
  return ['Basic', 'Digest', 'Negotiate', 'NTLM'].find((scheme) => new RegExp(`^${scheme}\\b`, 'i').test(challenge))
}

function readLocation(location: string, { listUrl, target, upstream }: Context): RejectedRequest['redirect'] {
  let place: string
  try {
    const { protocol, host, pathname } = new URL(location, listUrl)
    place = oneWord(upstream.redact(`${protocol}//${host}${pathname}`))
  } catch {
    return { place: 'nowhere' }
  }
  const { policyId } = target
  const path = `${policyId === undefined ? '' : `/p/${encodeURIComponent(policyId)}`}/api/terminals`
  const listPlace = place.replace(/\/$/, '')
  return listPlace.endsWith(path) ? { place, base: listPlace.slice(0, -path.length) } : { place }
}

function describeRejection({ html, login, reason, redirect }: RejectedRequest): string {
  if (redirect) return `redirected to ${redirect.place}`
  if (login !== undefined) return `wants a ${login} login`
  return html ? 'a web page' : reason
}

/** Returns the URL of another path of the server whose sessions are at `listUrl`. */
function besideSessions(listUrl: string, path: string): string {
  const url = new URL(listUrl)
  url.pathname = url.pathname.replace(/\/api\/terminals$/, path)
  return url.href
}

/** Whether an Open Terminal says that its terminals are turned off. */
function saysTerminalsOff({ json }: Partial<Reply>): boolean {
  return asRecord(asRecord(json)['features'])['terminal'] === false
}

/** Whether an answer is about the user's shell; `undefined` if it is no answer of a terminal server (PROTOCOL 2.17). */
function saysUserShell({ json }: Partial<Reply>): boolean | undefined {
  if ('output' in asRecord(json) || serverMessage(json) === 'No connected user shell') return true
  return serverMessage(json) === 'Not Found' ? false : undefined
}

/** Returns the version that an Open Terminal says it has. */
function versionIn({ json }: Partial<Reply>): string | undefined {
  const { title, version } = asRecord(asRecord(json)['info'])
  return title === 'Open Terminal' ? versionNumber(version) : undefined
}

/** Returns the version that an Open WebUI says it has (PROTOCOL 7.6). */
function versionOfOpenWebUI({ json }: Partial<Reply>): string | undefined {
  return versionNumber(asRecord(json)['version'])
}

function versionNumber(version: unknown): string | undefined {
  const [number] = /^\d+\.\d+\.\d+\w{0,9}$/.exec(typeof version === 'string' ? version : '') ?? []
  return number
}
