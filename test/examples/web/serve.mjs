// `npm run demo:web` runs this: a page with xterm.js, and a gateway that gives the page a terminal. The page never sees
// the key of the upstream, which is the server that UPSTREAM and UPSTREAM_KEY name, or the test upstream with a real
// `sh`.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import serialize from '@xterm/addon-serialize'
import headless from '@xterm/headless'
import { TerminalError } from 'terminal-upstream'
import { createTerminalGateway } from 'terminal-upstream/gateway'
import { startTestUpstream } from 'terminal-upstream/testing'
import { build } from 'vite'
import { shellWithTerminal } from './shell.mjs'

const { UPSTREAM, UPSTREAM_KEY: key = randomBytes(16).toString('hex') } = process.env
const base =
  UPSTREAM ?? (await startTestUpstream({ release: 'open-terminal@0.14.5', key, shell: shellWithTerminal })).url

// The token of the page. A server of yours knows its users from a login.
const pageToken = process.env.TOKEN ?? randomBytes(16).toString('hex')
const gateway = createTerminalGateway({
  authorize({ token }) {
    if (token === pageToken) return { base, key, userId: 'you' }
    throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'unknown token')
  },
  // A page that is reloaded shows the screen as it was, whatever has been printed since.
  screen: { Terminal: headless.Terminal, SerializeAddon: serialize.SerializeAddon },
})

const files = await bundle()
const server = createServer((request, response) => {
  const file = files.get(request.url.replace(/^\/$/, '/index.html'))
  if (file) response.writeHead(200, { 'content-type': file.type }).end(file.content)
  else gateway.handleRequest(request, response, () => response.writeHead(404).end())
})
server.on('upgrade', (request, socket, head) => {
  if (!gateway.handleUpgrade(request, socket, head)) socket.destroy()
})
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  const page = `http://127.0.0.1:${server.address().port}/#token=${pageToken}`
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
