import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket, Server as TcpServer } from 'node:net'
import { inspect } from 'node:util'
import { expect, onTestFinished } from 'vitest'
import type { TerminalConnection, TerminalError } from '../../src/index.ts'
import { startTestUpstream, type TestUpstream, type TestUpstreamOptions } from '../../src/testing.ts'

export { releases } from './raw-client.ts'

/** Has something closed after the test, however it ends. */
export function afterwards(leftover: { close(): unknown }): void {
  onTestFinished(async () => {
    await leftover.close()
  })
}

/** A test upstream with a key, closed after the test. */
export async function upstreamOf(options: TestUpstreamOptions = {}): Promise<TestUpstream> {
  const upstream = await startTestUpstream({ key: 'sk-canary', ...options })
  afterwards(upstream)
  return upstream
}

/** Who asks, of an upstream of {@link upstreamOf}; quick where the defaults are patient. */
export function clientOf({ url }: { url: string }): { base: string; key: string; userId: string; settle: number } {
  return { base: url, key: 'sk-canary', userId: 'ada', settle: 50 }
}

/** Has a server listen on a free port and returns its base URL. */
export async function listen(server: TcpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Starts a server of the test's own and returns its base URL. */
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

/** A base URL that nobody listens on. */
export async function nobody(): Promise<string> {
  const server = createServer()
  const base = await listen(server)
  await new Promise((resolve) => server.close(resolve))
  return base
}

/** The part that every key of these tests has in common. */
const CANARY = 'canary'

/** Checks that no way of printing a value shows a key, and returns it. */
export function withoutCanary<T>(value: T): T {
  expect(inspect(value, { depth: 12, showHidden: true, getters: true })).not.toContain(CANARY)
  for (let error: unknown = value; error instanceof Error; error = error.cause) {
    expect(`${error.message} ${error.stack}`).not.toContain(CANARY)
  }
  return value
}

/** What a promise rejects with, which must not show a key. */
export async function rejection(promise: Promise<unknown>): Promise<TerminalError> {
  return promise.then(
    () => expect.unreachable('it should have been rejected'),
    (error: TerminalError) => withoutCanary(error),
  )
}

/** Resolves with all output so far, once it contains `text`. */
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

/** Resolves once the condition holds; for what no event tells of. */
export async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 5 }).toBe(true)
}
