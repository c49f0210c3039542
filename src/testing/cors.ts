import type { IncomingMessage, ServerResponse } from 'node:http'

const METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY']

/**
 * Lets pages of every origin in, as the real servers do unless told otherwise; answers the question that a browser asks
 * before a request with headers of the page's own, and says whether it was that.
 */
export function answerOrigin({ method, headers }: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = headers
  if (origin !== undefined) {
    response.setHeader('access-control-allow-origin', origin)
    response.setHeader('access-control-allow-credentials', 'true')
  }
  response.setHeader('vary', 'Origin')
  const asked = headers['access-control-request-method']
  if (method !== 'OPTIONS' || origin === undefined || asked === undefined) return false
  const names = headers['access-control-request-headers']
  if (names !== undefined) response.setHeader('access-control-allow-headers', names)
  response.setHeader('access-control-allow-methods', METHODS.join(', '))
  response.setHeader('access-control-max-age', '600')
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.statusCode = METHODS.includes(asked) ? 200 : 400
  response.end(response.statusCode === 200 ? 'OK' : 'Disallowed CORS method')
  return true
}
