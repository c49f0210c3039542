import { createServer } from 'node:http'
import { TerminalError } from 'terminal-upstream'
import { createTerminalGateway } from 'terminal-upstream/gateway'

const { UPSTREAM = 'http://127.0.0.1:8000', UPSTREAM_KEY, PORT = '8080' } = process.env
const users = new Map([['let-me-in', 'ada']]) // yours: whom a JWT or a session token belongs to
const gateway = createTerminalGateway({
  authorize({ token }) {
    const userId = users.get(token)
    if (userId) return { base: UPSTREAM, key: UPSTREAM_KEY, userId }
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown token')
  },
})
const server = createServer((request, response) => {
  gateway.handleRequest(request, response, () => response.writeHead(404).end())
})
server.on('upgrade', (request, socket, head) => gateway.handleUpgrade(request, socket, head) || socket.destroy())
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}`))
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
