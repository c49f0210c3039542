// A gateway in a Fastify 5 application.
import fastify from 'fastify'
import { TerminalError } from 'terminal-upstream'
import { createTerminalGateway } from 'terminal-upstream/gateway'

const { UPSTREAM = 'http://127.0.0.1:8000', UPSTREAM_KEY, PORT = '8080' } = process.env
const users = new Map([['let-me-in', 'ada']]) // yours: whom a JWT or a session token belongs to

const gateway = createTerminalGateway({
  path: '/terminal',
  authorize({ token }) {
    const userId = users.get(token)
    if (userId) return { base: UPSTREAM, key: UPSTREAM_KEY, userId }
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown token')
  },
})

const app = fastify()
app.addHook('onRequest', (request, reply, done) => {
  if (gateway.handleRequest(request.raw, reply.raw)) reply.hijack()
  else done()
})
app.get('/', () => 'the application')
app.server.on('upgrade', (request, socket, head) => {
  if (!gateway.handleUpgrade(request, socket, head)) socket.destroy()
})
await app.listen({ port: Number(PORT), host: '127.0.0.1' })
console.log(`http://127.0.0.1:${PORT}/terminal`)
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
