// `npm run demo:web` runs this: a page with xterm.js, and a server that connects the page's terminal to an upstream. The
// page never sees the key of the upstream, which is the test upstream with a real `sh`.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createTerminalSession, deleteTerminalSession, getTerminalSession, TerminalError } from 'terminal-upstream'
import { proxyTerminal } from 'terminal-upstream/proxy'
import { startTestUpstream } from 'terminal-upstream/testing'
import { build } from 'vite'
import { WebSocketServer } from 'ws'
import { shellWithTerminal } from './shell.mjs'

const key = randomBytes(16).toString('hex')
const upstream = await startTestUpstream({ release: 'open-terminal@0.14.5', key, shell: shellWithTerminal })
const pages = new Map([[randomBytes(16).toString('hex'), { base: upstream.url, key, userId: 'you' }]])

// The sessions of each page, by its token. With its key, the upstream would allow access to the sessions of all pages.
const sessions = new Map([...pages.keys()].map((token) => [token, new Set()]))

const files = await bundle()
const server = createServer((request, response) => {
  const file = files.get(request.url.replace(/^\/$/, '/index.html'))
  if (file) response.writeHead(200, { 'content-type': file.type }).end(file.content)
  else void answerRest(request, response)
})

const TERMINALS = /^\/api\/terminals(?:\/([^/]+))?$/

/** Answers the REST requests of a page, for its own sessions only. */
async function answerRest({ method, url, headers }, response) {
  const token = headers.authorization?.replace('Bearer ', '')
  const options = pages.get(token)
  const own = sessions.get(token)
  const [path, sessionId] = TERMINALS.exec(url) ?? []
  const reply = (status, body) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (!path) return reply(404, { detail: 'Not Found' })
  if (!options) return reply(401, { detail: 'Reload the page from the address that was printed' })
  if (sessionId === undefined ? method !== 'POST' : !['GET', 'DELETE'].includes(method)) {
    return reply(405, { detail: 'Method Not Allowed' })
  }
  try {
    if (method === 'POST') {
      const created = await createTerminalSession(options)
      own.add(created.id)
      return reply(200, created)
    }
    const session = { ...options, sessionId }
    const found =
      own.has(sessionId) &&
      (method === 'DELETE' ? await deleteTerminalSession(session) : await getTerminalSession(session))
    if (!found || method === 'DELETE') own.delete(sessionId)
    return found ? reply(200, found) : reply(404, { error: 'Session not found' })
  } catch (error) {
    // The page must not see the message, which contains the address of the upstream.
    console.error(error.message)
    return reply(502, { detail: 'The terminal server does not answer' })
  }
}

const sockets = new WebSocketServer({ server, maxPayload: 1024 * 1024 })
sockets.on('connection', async (client, request) => {
  const { endedBy, code, error } = await proxyTerminal(client, {
    request,
    authorize({ token }, { url }) {
      const options = pages.get(token)
      if (!options)
        throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown token', { closeReason: 'Reload the page' })
      const sessionId = new URL(url, 'http://page').pathname.replace(TERMINALS, '$1')
      if (!sessions.get(token).has(sessionId))
        throw new TerminalError('ERR_TERMINAL_NOT_FOUND', 'not a session of the page')
      return { ...options, sessionId }
    },
  })
  console.log(`a terminal was ended by the ${endedBy} with ${code}`, error?.message ?? '')
})

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const page = `http://127.0.0.1:${server.address().port}/#token=${[...pages.keys()][0]}`
  console.log(`A shell of this machine, in a page (Ctrl-C ends it): ${page}`)
})

/** Builds the page. Resolves with its files by their paths. */
async function bundle() {
  const root = fileURLToPath(new URL('.', import.meta.url))
  const { output } = await build({ root, configFile: false, logLevel: 'warn', build: { write: false } })
  const types = { html: 'text/html', css: 'text/css', js: 'text/javascript' }
  return new Map(
    output.map(({ fileName, code, source }) => {
      return [`/${fileName}`, { type: types[fileName.split('.').pop()], content: code ?? source }]
    }),
  )
}
