// A gateway in a process of its own, for tests: the token of a client is its user. SIGTERM ends it.
import { createServer } from 'node:http'
import { createTerminalGateway } from 'terminal-upstream/gateway'

const { UPSTREAM: base, UPSTREAM_KEY: key } = process.env
const gateway = createTerminalGateway({ authorize: ({ token }) => ({ base, key, userId: token }) })
const server = createServer((request, response) => {
  gateway.handleRequest(request, response, () => response.writeHead(404).end())
})
server.on('upgrade', (request, socket, head) => gateway.handleUpgrade(request, socket, head) || socket.destroy())
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
