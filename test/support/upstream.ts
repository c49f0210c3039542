import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket, Server as TcpServer } from 'node:net'
import { inspect } from 'node:util'
import { expect, onTestFinished } from 'vitest'
import type { TerminalConnection, TerminalError } from '../../src/index.ts'
import { startTestUpstream, type TestUpstream, type TestUpstreamOptions } from '../../src/testing.ts'
import { echo } from './shells.ts'

export { releases } from './raw-client.ts'

/** Closes `leftover` after the test, also when the test fails. */
export function afterwards(leftover: { close(): unknown }): void {
  onTestFinished(async () => {
    await leftover.close()
  })
}

/** Starts a test upstream that wants a key; it is closed after the test. */
// Its shells print nothing by themselves, unless the test says so: most tests compare all of the output.
export async function upstreamOf(options: TestUpstreamOptions = {}): Promise<TestUpstream> {
  const upstream = await startTestUpstream({ key: 'sk-canary', shell: echo, ...options })
  afterwards(upstream)
  return upstream
}

/** Returns options that an upstream of {@link upstreamOf} accepts. */
export function userOf({ url }: { url: string }): { base: string; key: string; userId: string } {
  return { base: url, key: 'sk-canary', userId: 'ada' }
}

/** Returns the same, with a short `settle`, for `connectTerminal`. */
export function clientOf(upstream: { url: string }): ReturnType<typeof userOf> & { settle: number } {
  return { ...userOf(upstream), settle: 50 }
}

/** Starts a server on a free port and returns its base URL. */
export async function listen(server: TcpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Starts an HTTP server, which is closed after the test, and returns its base URL; `configure` adds its listeners. */
export async function serve(configure: (server: Server) => void): Promise<string> {
  const server = createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  configure(server)
  afterwards({
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(resolve))
    },
  })
  return listen(server)
}

/** Returns a port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  const { port } = new URL(await listen(server))
  await new Promise((resolve) => server.close(resolve))
  return Number(port)
}

/** Returns a base URL whose port refuses connections. */
export async function nobody(): Promise<string> {
  return `http://127.0.0.1:${await freePort()}`
}

/** Every key of these tests contains this. */
const CANARY = 'canary'

/** Checks that no way of printing a value shows a key, and returns the value. */
export function withoutCanary<T>(value: T): T {
  expect(inspect(value, { depth: 12, showHidden: true, getters: true })).not.toContain(CANARY)
  for (let error: unknown = value; error instanceof Error; error = error.cause) {
    expect(`${error.message} ${error.stack}`).not.toContain(CANARY)
  }
  return value
}

/** Returns what a promise rejects with, and checks that the error shows no key. */
export async function rejection(promise: Promise<unknown>): Promise<TerminalError> {
  return promise.then(
    () => expect.unreachable('the promise should reject'),
    (error: TerminalError) => withoutCanary(error),
  )
}

/** Resolves with all output so far, once the output contains `text`. */
export function outputWith(terminal: Pick<TerminalConnection, 'onData'>, text: string): Promise<string> {
  return new Promise((resolve) => {
    let output = ''
    const stop = terminal.onData((chunk) => {
      output += Buffer.from(chunk).toString('latin1')
      if (!output.includes(text)) return
      stop()
      resolve(output)
    })
  })
}

/** Resolves once the condition holds. Polls, for conditions that have no event. */
export async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 5 }).toBe(true)
}
