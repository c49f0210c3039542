import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import {
  connectTerminal,
  type ConnectTerminalOptions,
  type TerminalConnection,
  type TerminalError,
} from '../../src/index.ts'
import type { TestSession, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { operations } from './requests.ts'
import { runningTimers } from './timers.ts'
import { afterwards, clientOf, rejection, serve, upstreamOf } from './upstream.ts'

export interface Opened {
  readonly upstream: TestUpstream
  readonly session: TestSession
  readonly terminal: TerminalConnection
}

type Options = Partial<ConnectTerminalOptions>

/** Opens a terminal on an upstream; it is closed after the test. */
export async function connectTo(upstream: { url: string }, options: Options = {}): Promise<TerminalConnection> {
  const terminal = await connectTerminal({ ...clientOf(upstream), ...options })
  afterwards(terminal)
  return terminal
}

/** Returns the error of an upstream to which no terminal can be opened. */
export function refusalOf(upstream: { url: string }, options: Options = {}): Promise<TerminalError> {
  return rejection(connectTerminal({ ...clientOf(upstream), ...options }))
}

/** Starts an upstream and opens a terminal on it; both are closed after the test. */
export async function open(server: TestUpstreamOptions = {}, client: Options = {}): Promise<Opened> {
  const upstream = await upstreamOf(server)
  const terminal = await connectTo(upstream, client)
  const session = upstream.sessions.find(({ id }) => id === terminal.sessionId)
  if (!session) return expect.unreachable('the upstream should have the session')
  return { upstream, session, terminal }
}

/** Opens a terminal on a server that does nothing but what `onConnection` does. */
export async function openOn(onConnection: (ws: WebSocket) => void, client?: Options): Promise<TerminalConnection> {
  const base = await serve((server) => new WebSocketServer({ server }).on('connection', onConnection))
  const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1', settle: 20, ...client })
  afterwards(terminal)
  return terminal
}

/** Returns the binary messages that an upstream received. */
export function inputFrames({ requests }: TestUpstream): Uint8Array[] {
  return requests.flatMap(({ frames }) => frames.filter((frame) => typeof frame !== 'string'))
}

export function sha256(...chunks: Array<Uint8Array | string>): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

/** Returns the text of the next `count` chunks of output; of all output up to the end with `Infinity`. */
export async function firstChunks(terminal: TerminalConnection, count: number): Promise<string> {
  let text = ''
  for await (const chunk of terminal) {
    text += Buffer.from(chunk).toString()
    count -= 1
    if (count === 0) break
  }
  return text
}

/** Returns a shell that prints all its input, and the SHA-256 of the first `total` bytes. */
export function echoingHash(total: number): TestShell {
  const hash = createHash('sha256')
  let received = 0
  return ({ output }) => ({
    input(data) {
      void output(data)
      hash.update(data)
      received += data.length
      if (received === total) void output(hash.digest('hex'))
    },
  })
}

/** Returns text that looks random. */
export function randomText(length: number): string {
  return randomBytes(length).toString('base64').slice(0, length)
}

/** Checks that a failed attach has left neither a session nor a timer. */
export function expectNothingLeft(upstream: TestUpstream): void {
  // The timer of the test itself.
  const expected = 1
  // An unanswered request for a session keeps running, so that the session can be deleted, and has a limit.
  const seenThrough = operations(upstream).at(-1) === 'POST' ? 1 : 0
  expect(upstream.sessions).toEqual([])
  expect(runningTimers()).toBeLessThanOrEqual(expected + seenThrough)
}
