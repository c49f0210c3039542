// A gateway in a process of its own, for tests: the token of a client is its user. SIGTERM ends it, and SIGUSR2 lets it
// end when its last session has.
import { createServer } from 'node:http'
import { createTerminalGateway } from 'terminal-upstream/gateway'

const { UPSTREAM: base, UPSTREAM_KEY: key, NAME: name, PORT = '0' } = process.env
const gateway = createTerminalGateway({ authorize: ({ token }) => ({ base, key, userId: token }), name })
const server = createServer((request, response) => {
  gateway.handleRequest(request, response, () => response.writeHead(404).end())
})
server.on('upgrade', (request, socket, head) => gateway.handleUpgrade(request, socket, head) || socket.destroy())
server.listen(Number(PORT), '127.0.0.1', () => console.log(server.address().port))
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
process.once('SIGUSR2', () => gateway.drain().then(() => process.exit()))
