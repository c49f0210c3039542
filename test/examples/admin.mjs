// A gateway with a page for admins, who see which shells there are, look on at one, and end one.
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { TerminalError } from 'terminal-upstream'
import { createTerminalGateway } from 'terminal-upstream/gateway'

const { UPSTREAM = 'http://127.0.0.1:8000', UPSTREAM_KEY, PORT = '8080' } = process.env
const users = new Map([['let-me-in', 'ada']]) // yours: whom a token belongs to
const admins = new Map([['let-me-see', 'grace']]) // yours: who may see the shells of others

const gateway = createTerminalGateway({
  authorize({ token, watch, sessionId }) {
    const upstream = { base: UPSTREAM, key: UPSTREAM_KEY }
    const userId = users.get(token)
    if (userId) return { ...upstream, userId }
    // Only for a client that cannot type: with the same token, somebody may send a DELETE.
    if (watch && admins.has(token)) {
      const shell = gateway.sessions.find(({ id }) => id === sessionId)
      if (shell) return { ...upstream, userId: shell.userId, chatId: shell.chatId, watchedBy: admins.get(token) }
    }
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown token')
  },
})

/** What the page asks for. */
const actions = {
  'GET shells': () => [200, gateway.sessions],
  'GET text': async (session) => [200, await session.text()],
  'DELETE shells': async (session) => [200, await session.end('Ended by an admin')],
}

/** Returns the status and the body of an answer to the page. */
async function act({ method, url, headers }) {
  if (!admins.has(headers.authorization?.replace('Bearer ', ''))) return [401]
  const [, , what, id] = url.split('/')
  const session = gateway.sessions.find((each) => each.id === id)
  const action = actions[`${method} ${what}`]
  return action && (session || url === '/admin/shells') ? action(session) : [404]
}

const folder = fileURLToPath(new URL('.', import.meta.url))
const entryPoints = [`${folder}admin-page.js`]
const { outputFiles } = await build({
  entryPoints,
  bundle: true,
  format: 'esm',
  outdir: folder,
  write: false,
  logLevel: 'error',
})
const files = new Map(outputFiles.map(({ path, contents }) => [`/${path.slice(folder.length)}`, contents]))
const page = `<!doctype html>
<title>Shells</title>
<link rel="stylesheet" href="/admin-page.css" />
<script type="module" src="/admin-page.js"></script>`
files.set('/admin', page)
const types = { css: 'text/css', js: 'text/javascript' }

async function answer(request, response) {
  const [status, body = null] = await act(request).catch(() => [500])
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

const server = createServer((request, response) => {
  const { url } = request
  const file = files.get(url)
  if (file) response.setHeader('Content-Type', types[url.split('.')[1]] ?? 'text/html').end(file)
  else if (url.startsWith('/admin/')) void answer(request, response)
  else gateway.handleRequest(request, response, () => response.writeHead(404).end())
})
server.on('upgrade', (request, socket, head) => gateway.handleUpgrade(request, socket, head) || socket.destroy())
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
process.once('SIGTERM', () => gateway.close().then(() => process.exit()))
