// What a page in Chromium and the probe say behind nginx, in the forms that people copy, side by side.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createTerminalGateway } from '../../src/gateway.ts'
import { TerminalError } from '../../src/index.ts'
import { probeUpstream } from '../../src/probe.ts'
import { startBrowser } from '../support/page.mjs'
import { serveGateway } from '../support/terminal-gateway.ts'
import { clientOf, upstreamOf } from '../support/upstream.ts'
import { hasNginx, startFront } from './nginx.ts'

const WEBSOCKETS =
  'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
const HOST = 'proxy_set_header Host $http_host;'
const LIMIT = 'limit_req_zone $binary_remote_addr zone=all:1m rate=1r/m;'
const ORIGIN = [
  /HTTP 403, "Origin not allowed"\. Let the proxy pass `Host` on unchanged/,
  /proxy_set_header Host \$http_host/,
]

/** Lines of nginx, what the page says, and what the probe advises. */
const fronts = [
  ['passes everything on', `${WEBSOCKETS} ${HOST}`, [/^open$/, /^All is well/]],
  ['passes no Host on', WEBSOCKETS, ORIGIN],
  ['passes $host on, on a port of its own', `${WEBSOCKETS} proxy_set_header Host $host;`, ORIGIN],
  ['passes no WebSockets on', HOST, [/Let the proxy in between pass WebSockets on/, /forward WebSocket upgrades/]],
  [
    'limits the rate of requests',
    `${WEBSOCKETS} ${HOST} limit_req zone=all; limit_req_status 429; limit_req_log_level info;`,
    [/A proxy limits the rate of requests/, /raise the limit on requests/],
    LIMIT,
  ],
  [
    'wants headers that nobody sends',
    `${WEBSOCKETS} ${HOST} if ($http_x_access = "") { return 403; }`,
    [/Sign in again, or let the proxy in front pass this path on/, /Pass what the proxy in front wants in `headers`/],
  ],
]

let browser
let script

beforeAll(async () => {
  if (!hasNginx()) return
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../../dist/index.js', import.meta.url))],
    bundle: true,
    format: 'iife',
    globalName: 'library',
    logLevel: 'error',
    platform: 'browser',
    write: false,
  })
  script = outputFiles[0].text
  browser = await startBrowser()
}, 60_000)

afterAll(() => browser?.stop())

/** Starts a gateway that lets one token in, with an upstream behind it, and a page. */
async function startGateway() {
  const upstream = await upstreamOf()
  const gateway = createTerminalGateway({
    authTimeout: 2_000,
    authorize({ token }) {
      if (token !== 'token') throw new TerminalError('ERR_TERMINAL_UNAUTHORIZED', 'wrong token')
      return { ...clientOf(upstream), base: upstream.url }
    },
  })
  return serveGateway(gateway, (response) => response.setHeader('Content-Type', 'text/html').end('<p>'))
}

/** Connects in a page of this site. Returns "open", or why it is not. */
async function connectInPage(site) {
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  await page.goto(`${site}/`)
  await page.addScriptTag({ content: script })
  return page.evaluate(async () => {
    const { connectTerminal } = globalThis.library
    try {
      const options = { authType: 'session', key: 'token', userId: 'ada', retry: { attempts: 2, delay: 100 } }
      const terminal = await connectTerminal({ base: location.origin, ...options })
      await terminal.close()
      return 'open'
    } catch (error) {
      return error.message
    }
  })
}

test.runIf(hasNginx()).each(fronts)(
  'behind nginx that %s, a page and the probe say what to do',
  { timeout: 60_000 },
  async (_what, lines, [said, advised], forHttp) => {
    const gateway = await startGateway()
    const site = async () => {
      const nginx = await startFront(gateway, lines, forHttp)
      onTestFinished(() => nginx.stop())
      return nginx.url
    }
    expect(await connectInPage(await site())).toMatch(said)
    const base = await site()
    const options = { authType: 'session', key: 'token', userId: 'ada', idle: 0, origin: base }
    expect((await probeUpstream({ base, ...options })).advice).toMatch(advised)
  },
)
