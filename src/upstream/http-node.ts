import http, { type ClientRequest } from 'node:http'
import https from 'node:https'
import { isDeepStrictEqual } from 'node:util'
import { LONGEST_ANSWER_CHARS, type HttpRequest, type SendHttp } from './http.ts'

/**
 * The transport of Node and Deno. Node's own `fetch` takes up to twice the CPU, and ends no broken body.
 *
 * @see https://nodejs.org/api/http.html#httprequesturl-options-callback
 */
export const sendHttp: SendHttp = (url, options) =>
  new Promise((resolve, reject) => {
    const request = start(url, options)
    const abort = (): void => void request.destroy()
    const { signal, control, longest = LONGEST_ANSWER_CHARS } = options
    signal?.addEventListener('abort', abort)
    if (control) control.release = () => void request.socket?.unref()
    if (control?.isReleased) request.once('socket', (socket) => socket.unref())
    request.on('error', reject)
    request.once('close', () => {
      signal?.removeEventListener('abort', abort)
      // Node reports no error of its own for an answer such as 101.
      reject(Object.assign(new Error('the connection ended without an answer'), { code: 'ECONNRESET' }))
    })
    request.once('response', (response) => {
      const { statusCode: status = 0 } = response
      let body = ''
      const finish = (): void => {
        resolve({ status, header: (name) => response.headers[name]?.toString(), body })
      }
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
        if (body.length < longest) return
        finish()
        request.destroy()
      })
      response.once('end', finish)
      response.on('error', reject)
    })
    request.end(options.body)
  })

function start(url: string, { method, headers, ownConnection }: HttpRequest): ClientRequest {
  const { request, globalAgent, Agent } = url.startsWith('https:') ? https : http
  return request(url, { method, headers, agent: ownConnection ? singleUseAgent(globalAgent, Agent) : globalAgent })
}

// The agent without a pool for each global agent that was used, and its settings.
const known = new WeakMap<http.Agent, { readonly settings: object; readonly agent: http.Agent }>()

/**
 * Returns an agent that opens a connection for each request, with the settings of the global one, its proxy included.
 */
function singleUseAgent(agent: http.Agent, Class: new (options: object) => http.Agent): http.Agent {
  // A program that has replaced the global agent knows how to connect, and a plain agent may not.
  if (agent.constructor !== Class) return agent
  const settings = { ...Reflect.get(agent, 'options'), keepAlive: false }
  const entry = known.get(agent)
  // A program may change the settings at any time.
  if (entry && isDeepStrictEqual(entry.settings, settings)) return entry.agent
  const created = new Class(settings)
  known.set(agent, { settings, agent: created })
  return created
}
