// A page with a login by cookie. Its gateway gives a shell to whoever has logged in, and ends it at the logout.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { TerminalError } from 'terminal-upstream'
import { createTerminalGateway } from 'terminal-upstream/gateway'
import { bundle } from './bundle.mjs'

const { UPSTREAM = 'http://127.0.0.1:8000', UPSTREAM_KEY, PORT = '8080' } = process.env
const passwords = new Map([['ada', 'let-me-in']]) // yours: a table of users, with hashes
const logins = new Map() // yours: which user has which cookie

const gateway = createTerminalGateway({
  authorize({ request }) {
    const userId = userOf(request)
    if (userId) return { base: UPSTREAM, key: UPSTREAM_KEY, userId }
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'not logged in')
  },
})

function loginOf({ headers }) {
  return /(?:^|; )login=([^;]+)/.exec(headers.cookie ?? '')?.[1]
}

function userOf(request) {
  return logins.get(loginOf(request))
}

/** Ends all shells of a user: at the logout, or because an admin says so. */
async function endShells(userId) {
  const shells = gateway.sessions.filter((session) => session.userId === userId)
  await Promise.all(shells.map((session) => session.end('Logged out')))
}

/** What the page asks for beside its files and its terminals. Each returns the status of its answer. */
const actions = {
  'GET /login': (request) => (userOf(request) ? 200 : 401),

  async 'POST /login'(request, response) {
    const { user, password } = JSON.parse(Buffer.concat(await request.toArray()).toString())
    if (password === undefined || passwords.get(user) !== password) return 401
    const login = randomUUID()
    logins.set(login, user)
    // Add `Secure` where the page is served with https.
    response.setHeader('Set-Cookie', `login=${login}; HttpOnly; SameSite=Lax; Path=/`)
    return 200
  },

  async 'POST /logout'(request) {
    const user = userOf(request)
    // First the login: a page that reconnects meanwhile gets no new shell.
    logins.delete(loginOf(request))
    if (user) await endShells(user)
    return 200
  },
}

async function act(request, response) {
  const action = actions[`${request.method} ${request.url}`]
  const status = action ? await Promise.resolve(action(request, response)).catch(() => 400) : 404
  response.writeHead(status).end()
}

const files = await bundle()
const server = createServer((request, response) => {
  // xterm.js writes style sheets of its own into the page.
  response.setHeader('Content-Security-Policy', "default-src 'self'; style-src 'self' 'unsafe-inline'")
  const file = files.get(request.url)
  if (file) response.setHeader('Content-Type', file.type).end(file.content)
  else gateway.handleRequest(request, response, () => void act(request, response))
})
server.on('upgrade', (request, socket, head) => gateway.handleUpgrade(request, socket, head) || socket.destroy())
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`))
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
