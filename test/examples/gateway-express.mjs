// A gateway in an Express 5 application.
import express from 'express'
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

const app = express()
// Before express.json(), which would read the requests of the gateway.
app.use(gateway.handleRequest)
app.use(express.json())
app.get('/', (_request, response) => void response.send('the application'))

const server = app.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}/terminal`))
server.on('upgrade', (request, socket, head) => {
  if (!gateway.handleUpgrade(request, socket, head)) socket.destroy()
})
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
