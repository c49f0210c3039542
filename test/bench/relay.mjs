// One of the relays that the benchmark compares, in front of one upstream.
import http, { createServer } from 'node:http'
import net from 'node:net'
import { json } from 'node:stream/consumers'
import serialize from '@xterm/addon-serialize'
import headless from '@xterm/headless'
import { createProxyServer } from 'http-proxy-3'
import { proxyUpgrade } from 'httpxy'
import { createTerminalGateway } from 'terminal-upstream/gateway'
import { proxyTerminal } from 'terminal-upstream/proxy'
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws'
import { cpuSeconds } from './numbers.mjs'
import { answerCalls, ownOptions } from './processes.mjs'

const { relay, upstreamPort } = ownOptions()
const base = `http://127.0.0.1:${upstreamPort}`
const sessionUrl = `ws://127.0.0.1:${upstreamPort}/api/terminals/bench`
const AUTH = JSON.stringify({ type: 'auth', token: '' })
// A masked text frame (RFC 6455, section 5.2). The mask is zero, so the text stays as it is.
const AUTH_FRAME = Buffer.concat([Buffer.from([0x81, 0x80 | AUTH.length, 0, 0, 0, 0]), Buffer.from(AUTH)])
const MOST_SESSIONS = 100_000

const relays = {
  /** A relay as most people write it, in a quarter of an hour. */
  hand: () => serveSockets((client) => relayByHand(client, sessionUrl)),

  /** The same, with a session that it creates first, as proxyTerminal does. */
  'hand-post': () =>
    serveSockets(async (client) => {
      try {
        const response = await fetch(`${base}/api/terminals`, { method: 'POST' })
        const { id } = await response.json()
        relayByHand(client, `ws://127.0.0.1:${upstreamPort}/api/terminals/${id}`)
      } catch {
        client.terminate()
      }
    }),

  stream: () =>
    serveSockets((client) => {
      const up = new WebSocket(sessionUrl)
      up.on('open', () => up.send(AUTH))
      const [upStream, clientStream] = [createWebSocketStream(up), createWebSocketStream(client)]
      upStream.pipe(clientStream).pipe(upStream)
      upStream.on('error', () => clientStream.destroy())
      clientStream.on('error', () => upStream.destroy())
    }),

  httpxy: () =>
    createServer().on('upgrade', (request, socket, head) => {
      proxyUpgrade(base, request, socket, head).catch(() => socket.destroy())
    }),

  'http-proxy-3': () => {
    const proxy = createProxyServer({ target: base, ws: true })
    proxy.on('error', (_error, _request, socket) => socket.destroy())
    return createServer().on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
  },

  tcp: () =>
    net.createServer({ noDelay: true }, (client) => {
      const up = net.connect({ port: upstreamPort, host: '127.0.0.1', noDelay: true })
      client.pipe(up).pipe(client)
      up.on('error', () => client.destroy())
      client.on('error', () => up.destroy())
    }),

  ours: () => serveSockets((client) => proxyTerminal(client, { base, userId: 'ada' })),

  gateway: () => serveGateway(),

  screen: () => serveGateway({ screen: { ...headless, ...serialize } }),
}

function relayByHand(client, url) {
  const up = new WebSocket(url)
  const early = []
  up.on('open', () => {
    up.send(AUTH)
    for (const [data, binary] of early) up.send(data, { binary })
  })
  up.on('message', (data, binary) => client.send(data, { binary }))
  client.on('message', (data, binary) => {
    if (up.readyState === WebSocket.CONNECTING) early.push([data, binary])
    else up.send(data, { binary })
  })
  up.on('close', () => client.close())
  client.on('close', () => up.close())
  up.on('error', () => client.terminate())
  client.on('error', () => up.terminate())
}

function serveGateway(options) {
  const gateway = createTerminalGateway({
    authorize: () => ({ base, userId: 'ada' }),
    maxSessionsPerUser: MOST_SESSIONS,
    ...options,
  })
  const server = createServer((request, response) => void gateway.handleRequest(request, response))
  // The clients of the benchmark neither create sessions nor send an auth frame, so this does both for them.
  return server.on('upgrade', (request, socket, head) => {
    const path = '/api/terminals'
    if (!request.url.endsWith('/bench')) {
      gateway.handleUpgrade(request, socket, head)
      return
    }
    const post = http.request({ port: server.address().port, path, method: 'POST' }, async (response) => {
      const { id } = await json(response)
      request.url = `${path}/${id}`
      gateway.handleUpgrade(request, socket, Buffer.concat([AUTH_FRAME, head]))
    })
    post.end()
  })
}

function serveSockets(onClient) {
  const server = createServer()
  new WebSocketServer({ server }).on('connection', onClient)
  return server
}

const server = relays[relay]()
server.listen(0, '127.0.0.1', () => {
  answerCalls({
    port: () => server.address().port,
    connections: () => new Promise((resolve) => server.getConnections((_error, count) => resolve(count))),
    cpu: cpuSeconds,
    /** Resolves with the bytes of the process, and the bytes in use by JavaScript, after garbage collection. */
    async memory() {
      // One collection can free objects that hold others, so this runs three.
      for (let index = 0; index < 3; index += 1) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      const { rss, heapUsed, external } = process.memoryUsage()
      return { resident: rss, held: heapUsed + external }
    },
  })
})
