import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import { answerHttp } from './http.ts'
import { createState, type TestRequest, type TestUpstreamOptions } from './server.ts'
import type { TestSession } from './session.ts'
import { answerUpgrade } from './socket.ts'

// A larger one is answered with 1009.
const LARGEST_MESSAGE = 16 * 1024 * 1024

/** A running test upstream. */
export interface TestUpstream extends AsyncDisposable {
  /** Its base URL, `http://127.0.0.1:{port}`. */
  readonly url: string
  /** The sessions whose shells are running, oldest first. */
  readonly sessions: readonly TestSession[]
  /** Everything that it was asked so far, with credentials and all, oldest first. */
  readonly requests: readonly TestRequest[]
  /** Ends every shell and connection; resolves when the port is free. */
  close(): Promise<void>
}

/**
 * Starts an upstream in this process, on a free port of 127.0.0.1, that treats its clients as one real release would,
 * with all its unpleasantness.
 *
 * For the tests of whatever talks to Open Terminal or Terminals: no Python, no Docker, and faults when you want them. The
 * upstream does not keep the process alive, so a test that forgets to close it can still end. Only output that a client
 * does not read can hold the process up.
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
 * @throws {TypeError} ERR_INVALID_ARG_VALUE when `release`, `inner`, `shell` or a fault is none that there is, or when
 * `inner` or `idleTimeout` comes with a release that is no orchestrator.
 * @throws {RangeError} ERR_OUT_OF_RANGE when `idleTimeout` is no whole number of ms, at least 1.
 * @see https://github.com/open-webui/terminals and https://github.com/open-webui/open-terminal, whose code it follows
 */
export async function startTestUpstream(options: TestUpstreamOptions = {}): Promise<TestUpstream> {
  const closing = new AbortController()
  const state = createState(options, closing.signal)
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    void answerHttp(state, request, response)
  })
  // Offered as the real servers do: a client that accepts it pays for it here too.
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: true, maxPayload: LARGEST_MESSAGE })
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
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what it is for anything but a pipe
  const { port } = server.address() as AddressInfo

  async function close(): Promise<void> {
    closing.abort()
    for (const socket of sockets) socket.destroy()
    for (const session of state.started) session.kill()
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
