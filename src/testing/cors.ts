import type { IncomingMessage, ServerResponse } from 'node:http'

const METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY']

/**
 * Allows requests from pages of every origin, as the real servers do by default. Returns whether the request was a CORS
 * preflight; this function has then answered it.
 */
export function answerCors({ method, headers }: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = headers
  if (origin !== undefined) {
    response.setHeader('access-control-allow-origin', origin)
    response.setHeader('access-control-allow-credentials', 'true')
  }
  response.setHeader('vary', 'Origin')
  const requestedMethod = headers['access-control-request-method']
  if (method !== 'OPTIONS' || origin === undefined || requestedMethod === undefined) return false
  const requestedHeaders = headers['access-control-request-headers']
  if (requestedHeaders !== undefined) response.setHeader('access-control-allow-headers', requestedHeaders)
  response.setHeader('access-control-allow-methods', METHODS.join(', '))
  response.setHeader('access-control-max-age', '600')
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.statusCode = METHODS.includes(requestedMethod) ? 200 : 400
  response.end(response.statusCode === 200 ? 'OK' : 'Disallowed CORS method')
  return true
}
