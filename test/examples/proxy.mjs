// Lets the terminal of a page through to an upstream whose key the page never sees.
import { createServer } from 'node:http'
import { TerminalError } from 'terminal-upstream'
import { proxyTerminal } from 'terminal-upstream/proxy'
import { WebSocketServer } from 'ws'

const { UPSTREAM = 'http://127.0.0.1:8000', UPSTREAM_KEY, PORT = '8080' } = process.env
const users = new Map([['let-me-in', 'ada']]) // yours: whom a JWT or a session token belongs to

const server = createServer((_request, response) => void response.writeHead(404).end())
const sockets = new WebSocketServer({ server, path: '/terminal', maxPayload: 1024 * 1024 })

sockets.on('connection', async (client, request) => {
  const { remoteAddress } = request.socket
  const { endedBy, code, error } = await proxyTerminal(client, {
    request,
    // The page's first message: {"type":"auth","token":"let-me-in"}
    authorize({ token }) {
      const userId = users.get(token)
      if (userId) return { base: UPSTREAM, key: UPSTREAM_KEY, userId }
      throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown token', { closeReason: 'Log in again' })
    },
  })
  console.log(`${remoteAddress}: ended by the ${endedBy} with ${code}`, error?.message ?? '')
})

server.listen(Number(PORT), '127.0.0.1', () => console.log(`ws://127.0.0.1:${PORT}/terminal`))
