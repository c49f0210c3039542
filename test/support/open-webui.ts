import { once } from 'node:events'
import { createProxyServer } from 'http-proxy-3'
import { WebSocket, WebSocketServer, type RawData } from 'ws'
import { serve } from './upstream.ts'

/** What a release of Open WebUI does, and how a terminal server is set up in it. */
export interface OpenWebUiOptions {
  /** What it says at `/api/version`; `undefined` if a proxy hides that. */
  readonly version: string | undefined
  /** Whether it sends the user with its WebSocket to the server: not up to 0.11.3. */
  readonly sendsUser: boolean
  /**
   * The auth type of the terminal server. With `session`, it sends a user's token, which an Open Terminal does not
   * know.
   */
  readonly authType: 'bearer' | 'session'
}

const SERVER = '/api/v1/terminals/main'
const KEY = 'sk-canary'

/**
 * Starts a stand-in for Open WebUI (PROTOCOL 7.4 to 7.6) that passes requests on to an upstream, and returns the base
 * URL of the terminal server. Requests carry the right key whatever the auth type is, so that only WebSockets differ.
 */
export async function openWebUi(upstream: { url: string }, options: OpenWebUiOptions): Promise<string> {
  const { version, sendsUser, authType } = options
  const proxy = createProxyServer({ target: upstream.url })
  proxy.on('error', () => {})
  const wss = new WebSocketServer({ noServer: true })
  const base = await serve((server) => {
    server.on('request', (request, response) => {
      const { url = '' } = request
      if (url === '/api/version' && version !== undefined) {
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ version, deployment_id: '' }))
        return
      }
      if (!url.startsWith(SERVER)) {
        response.writeHead(404).end()
        return
      }
      request.url = url.slice(SERVER.length)
      request.headers['x-user-id'] = 'user-of-the-token'
      request.headers.authorization = `Bearer ${KEY}`
      delete request.headers['x-terminal-context-id']
      proxy.web(request, response)
    })
    server.on('upgrade', (request, socket, head) => {
      const path = String(request.url).slice(SERVER.length).replace(/\?.*/s, '')
      wss.handleUpgrade(request, socket, head, (client) => void relay(client, path))
    })
  })
  return base + SERVER

  async function relay(client: WebSocket, path: string): Promise<void> {
    await once(client, 'message')
    const url = `${upstream.url.replace('http', 'ws')}${path}?user_id=user-of-the-token`
    const server = new WebSocket(url, { headers: sendsUser ? { 'X-User-Id': 'user-of-the-token' } : {} })
    // Whatever ends its own connection, the client's is closed with 1000.
    server.on('error', () => client.close(1000))
    server.on('close', () => client.close(1000))
    client.on('close', () => server.terminate())
    server.on('open', () => server.send(JSON.stringify({ type: 'auth', token: authType === 'bearer' ? KEY : 'jwt' })))
    server.on('message', (data: RawData, isBinary) => client.send(data, { binary: isBinary }))
    client.on('message', (data: RawData, isBinary) => {
      if (server.readyState === WebSocket.OPEN) server.send(data, { binary: isBinary })
    })
  }
}
