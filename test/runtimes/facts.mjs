// The cases that find out what a runtime can do, as a server sees it. They store their findings in `facts`.
import { collect, expectEqual, expectRejection, TextDecoder } from './expect.mjs'

// A flood counts as stopped after so long without another byte.
const STOPPED_AFTER_MS = 1_000

export function factCases(library, upstreams, facts) {
  const { connectTerminal, createTerminalSession, deleteTerminalSession, listTerminalSessions } = library
  const { key, releases, witness, refusing, floodFrames, floodBytes } = upstreams
  const ada = { key, userId: 'ada' }
  const visit = (sessionId, options) => connectTerminal({ ...ada, base: witness, sessionId, settle: 50, ...options })

  /** Resolves with the first message of a session of the witness. */
  async function firstMessage(sessionId, options) {
    const terminal = await visit(sessionId, options)
    const { value } = await terminal[Symbol.asyncIterator]().next()
    await terminal.close()
    return JSON.parse(new TextDecoder().decode(value))
  }

  return {
    async 'finds out whether the handshake carries headers'() {
      const { url, headers } = await firstMessage('handshake', { tokenInUrl: 'fallback' })
      facts.headers = headers['x-user-id'] === 'ada' && headers.authorization === `Bearer ${key}`
      expectEqual('the URL', url, '/api/terminals/handshake?user_id=ada')
      expectEqual('X-User-Id', headers['x-user-id'], facts.headers ? 'ada' : undefined)
    },
    async 'finds out whether it dials with a WebSocket class of the runtime'() {
      facts.dialsWithOwn = false
      if (globalThis.WebSocket === undefined) return
      const { prototype } = globalThis.WebSocket
      const { value: send } = Object.getOwnPropertyDescriptor(prototype, 'send')
      prototype.send = function (...data) {
        facts.dialsWithOwn = true
        return send.apply(this, data)
      }
      try {
        await firstMessage('handshake')
      } finally {
        prototype.send = send
      }
    },
    async 'sends heartbeats, and finds out whether protocol pings go with them'() {
      const terminal = await visit('pings', { keepAlive: 100 })
      // The first heartbeat confirms the attach, without a ping. A ping follows each later heartbeat at once, so the
      // first ping arrives before the third heartbeat, or never.
      facts.pings = (await collect(terminal).until('heartbeat 3')).includes('ping')
      await terminal.close()
    },
    async 'finds out whether a reader that stops makes the server wait, and then reads all output'() {
      const terminal = await visit('flood')
      let sent = 0
      for (let before = -1; sent !== before && sent < floodBytes;) {
        await new Promise((resolve) => setTimeout(resolve, STOPPED_AFTER_MS))
        before = sent
        sent = await firstMessage('flooded')
      }
      facts.pauses = sent < floodBytes
      let frames = 0
      for await (const chunk of terminal) {
        const { byteOffset, byteLength, buffer } = chunk
        expectEqual('the place of a frame', new DataView(buffer, byteOffset, byteLength).getUint32(0), frames)
        frames += 1
        if (frames === floodFrames) break
      }
      expectEqual('the cause', (await terminal.close()).cause, 'local')
    },
    async 'finds out whether a refused handshake has a status, and rejects with a typed error in both cases'() {
      const upstream = { ...ada, base: releases['terminals@0.0.2'] }
      const { id: sessionId } = await createTerminalSession(upstream)
      const options = { ...upstream, sessionId, tokenInUrl: 'never', retry: { attempts: 1, delay: 0 } }
      const error = await connectTerminal(options).catch((problem) => problem)
      facts.refusal = error.status
      const code = error.status === 403 ? 'ERR_TERMINAL_UNAUTHORIZED' : 'ERR_TERMINAL_UNAVAILABLE'
      await expectRejection('without the key in the URL', Promise.reject(error), code)
      await deleteTerminalSession({ ...upstream, sessionId })
    },
    async 'finds out which code the error of a refused connection has, if any'() {
      const request = listTerminalSessions({ ...ada, base: refusing })
      const { cause } = await expectRejection('a request', request, 'ERR_TERMINAL_UNAVAILABLE')
      facts.refusedCode = cause.code
    },
  }
}
