import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import {
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  type SocketConstructor,
} from '../../src/index.ts'
import { browserSocket } from '../support/browser-socket.ts'
import { afterwards, rejection, serve, withoutCanary } from '../support/upstream.ts'

// Has all characters that a URL, a form, JSON or a header may encode.
const key = 'sk-canary +/="quoted"&?#%41'
const cookie = 'sid=canary-cookie; theme=dark'
const fronted = {
  'CF-Access-Client-Secret': 'canary secret',
  'X-Sso': 'Basic canaryZm9vYmFy',
  'X-Jar': 'a=1; b=canary3',
}
const calls = { createTerminalSession, listTerminalSessions, getTerminalSession, deleteTerminalSession }
const identity = { key, cookie, headers: fronted, authType: 'session', userId: 'ada' } as const

/** Returns everything that a careless server or proxy could print of a request. */
function echoOf({ url = '', headers }: IncomingMessage): string {
  const token = new URL(url, 'http://h').searchParams.get('token') ?? ''
  const spellings = [key, encodeURIComponent(key), new URLSearchParams({ key }).toString(), JSON.stringify(key)]
  const values = ['cf-access-client-secret', 'x-sso', 'x-jar'].map((name) => String(headers[name]))
  const parts = values.flatMap((value) => [value, encodeURIComponent(value), value.split(/[ =]/).at(-1)])
  return [url, token, headers.authorization, headers.cookie, ...spellings, ...parts].join(' ')
}

/** Starts a server that repeats the request in every answer. */
function startEcho(status: number): Promise<string> {
  return serve((server) => {
    server.on('request', (request, response) => {
      response.writeHead(status, { location: `/login?next=${request.url}&key=${encodeURIComponent(key)}` })
      response.end(JSON.stringify({ detail: echoOf(request) }))
    })
    const wss = new WebSocketServer({ noServer: true })
    server.on('upgrade', (request, socket, head) => {
      wss.handleUpgrade(request, socket, head, (ws) => ws.close(4004, key))
    })
  })
}

describe.each([200, 302, 401, 403, 404, 422, 500, 502])(
  'a server that answers %i and repeats the request',
  (status) => {
    it.each(Object.entries(calls))('gets no secret into the error of %s', async (_name, call) => {
      const base = `${await startEcho(status)}/?api_key=canary`
      await call({ ...identity, base, sessionId: 's1' }).then(withoutCanary, withoutCanary)
    })
  },
)

it('the error of connectTerminal shows no secret when the close reason is the key', async () => {
  const options = { ...identity, base: await startEcho(500), sessionId: 's1', settle: 2_000 }
  const error = await rejection(connectTerminal({ ...options, authType: 'bearer' }))
  expect(error).toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND', closeCode: 4004, closeReason: '[redacted]' })
})

it.each<[string, SocketConstructor | undefined]>([
  ['ws', undefined],
  ["a browser's socket", browserSocket],
])('connectTerminal shows no secret of a handshake over %s that is refused', async (_which, Socket) => {
  const base = await serve((server) => {
    server.on('request', (request, response) => response.writeHead(500).end(echoOf(request)))
    server.on('upgrade', (request, socket) => {
      socket.end(
        `HTTP/1.1 403 ${encodeURIComponent(key)}\r\nX-Echo: ${encodeURIComponent(key)}\r\n\r\n${echoOf(request)}`,
      )
    })
  })
  await rejection(connectTerminal({ base, key, userId: 'ada', sessionId: 's1', WebSocket: Socket }))
})

it('a terminal shows no secret, nor do its `closed` and the error of a later write', async () => {
  const base = await serve((server) => {
    new WebSocketServer({ server }).on('connection', (ws) => {
      ws.on('message', (data, isBinary) => {
        if (isBinary) ws.close(4003, `${key} ${String(data)}`)
      })
    })
  })
  const terminal = await connectTerminal({ base, key, userId: 'ada', sessionId: 's1', settle: 20 })
  afterwards(terminal)
  withoutCanary(terminal)
  await terminal.write('!')
  expect(withoutCanary(await terminal.closed)).toMatchObject({ code: 4003, reason: '[redacted] !', cause: 'remote' })
  await rejection(terminal.write('too late'))
})

it('the error of connectTerminal shows no secret when an option is invalid', async () => {
  const options = { base: 'http://127.0.0.1:1', userId: 'ada', sessionId: 's1' }
  for (const wrong of [
    { base: 'http://user:canary@h' },
    { base: 'canary' },
    { key: 'canary\u2028é' },
    { key: 'canary\r\nX: y' },
    { authType: 'session', cookie: 'canary\n' },
    { headers: { 'X-A': 'canary\n' } },
    { headers: { 'X-A: canary': 'canary' } },
    { headers: { Authorization: 'Basic canary' } },
    { headers: [['X-A', 'canary']] },
    { authType: 'canary' },
    { timeout: 'canary' },
    { size: { cols: 'canary', rows: 1 } },
  ]) {
    await rejection(connectTerminal({ ...options, ...wrong } as never))
  }
})
