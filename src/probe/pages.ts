import { withDeadline } from '../lib/deadline.ts'
import { exchange, type Reply } from '../upstream/requests.ts'
import type { Context } from './context.ts'

/**
 * Returns why a page of another site cannot read the answers of a server; `undefined` if it can, or if no page is asked for.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 */
export async function whyHiddenFromPages(context: Context, answer: Reply): Promise<string | undefined> {
  const { listUrl, signal, timeout, target } = context
  const { origin } = target
  if (origin === undefined || new URL(listUrl).origin === origin) return undefined
  if (!isReadable(answer, origin)) return 'the answer to a request does not allow it'
  // A browser asks before it sends a request with an Authorization header, and sends no key with the question.
  const headers = {
    Origin: origin,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization,x-user-id',
  }
  const preflight = await withDeadline(timeout, signal, (limit) =>
    exchange(listUrl, { method: 'OPTIONS', headers, signal: limit }),
  )
  if (preflight.status < 300 && isReadable(preflight, origin)) return undefined
  return `the answer to the preflight is HTTP ${preflight.status}, and does not allow it`
}

function isReadable({ header }: Reply, origin: string): boolean {
  return ['*', origin].includes(header('access-control-allow-origin') ?? '')
}
