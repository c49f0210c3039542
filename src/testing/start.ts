import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from '../lib/ws.ts'
import { answerHttp } from './http.ts'
import type { TestRequest } from './requests.ts'
import { ServerState, type TestUpstreamOptions } from './server.ts'
import type { TestSession } from './session.ts'
import { answerUpgrade } from './socket.ts'

// The server closes with 1009 for a larger message.
const LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024

/** A running test upstream. */
export interface TestUpstream extends AsyncDisposable {
  /** The base URL, `http://127.0.0.1:{port}`. */
  readonly url: string
  /** The sessions whose shells are running, oldest first. */
  readonly sessions: readonly TestSession[]
  /** All requests so far, oldest first. They contain the credentials. */
  readonly requests: readonly TestRequest[]
  /** Ends every shell, command and connection. Resolves when the port is free. */
  close(): Promise<void>
}

/**
 * Starts an upstream in this process, on a free port of 127.0.0.1, that treats its clients as one real release does,
 * including the defects of that release.
 *
 * It is for tests of clients of Open Terminal or Terminals. It needs no Python and no Docker, and a test can add
 * faults. It really runs what a client wants to run at `/execute`, on this machine, on pipes and not on a PTY. The
 * upstream does not keep the process alive, so a test that forgets to close it can still end. Only output that a client
 * does not read can keep the process alive.
 *
 * @example
 * ```ts
 * import { connectTerminal } from 'terminal-upstream'
 * import { startTestUpstream } from 'terminal-upstream/testing'
 *
 * await using upstream = await startTestUpstream({ release: 'terminals@0.0.2', key: 'sk-1' })
 * await using terminal = await connectTerminal({ base: upstream.url, key: 'sk-1', userId: 'ada' })
 * console.log(upstream.requests.map(({ method, path, status }) => `${method} ${path} ${status}`))
 * ```
 *
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when `release`, `inner`, `shell` or the operation of a fault is unknown, or
 * when `inner` or `idleTimeout` comes with a release that is not an orchestrator, or `multiUser` with one that is not
 * `open-terminal@0.14.5`.
 * @throws {RangeError} ERR_OUT_OF_RANGE when `idleTimeout` is not a whole number of ms, at least 1.
 * @see https://github.com/open-webui/terminals and https://github.com/open-webui/open-terminal, whose code it follows
 */
export async function startTestUpstream(options: TestUpstreamOptions = {}): Promise<TestUpstream> {
  const closing = new AbortController()
  const state = new ServerState(options, closing.signal)
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    void answerHttp(state, request, response)
  })
  // The real servers offer compression. A client that accepts it pays for it with CPU time here too.
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: true, maxPayload: LARGEST_MESSAGE_BYTES })
  server.on('connection', (socket) => {
    socket.unref()
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (request, _socket, head) => {
    void answerUpgrade(state, wss, request, request.socket, head)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- always, except for a pipe
  const { port } = server.address() as AddressInfo

  async function close(): Promise<void> {
    closing.abort()
    for (const socket of sockets) socket.destroy()
    for (const each of state.started) each.kill()
    await Promise.all(state.commands.map(({ done }) => done))
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }

  return {
    url: `http://127.0.0.1:${port}`,
    get sessions() {
      return [...state.sessions].filter(({ alive }) => alive)
    },
    requests: state.requests,
    close,
    [Symbol.asyncDispose]: close,
  }
}
