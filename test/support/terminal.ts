import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import { WebSocketServer, type WebSocket } from 'ws'
import { connectTerminal, type ConnectTerminalOptions, type TerminalConnection } from '../../src/index.ts'
import type { TestSession, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { afterwards, clientOf, serve, upstreamOf } from './upstream.ts'

export interface Opened {
  readonly upstream: TestUpstream
  readonly session: TestSession
  readonly terminal: TerminalConnection
}

/** Starts an upstream and opens a terminal on it. */
export async function open(
  server: TestUpstreamOptions = {},
  client: Partial<ConnectTerminalOptions> = {},
): Promise<Opened> {
  const upstream = await upstreamOf(server)
  const terminal = await connectTerminal({ ...clientOf(upstream), ...client })
  afterwards(terminal)
  const session = upstream.sessions.find(({ id }) => id === terminal.sessionId)
  if (!session) return expect.unreachable('the session should be there')
  return { upstream, session, terminal }
}

/** Opens a terminal on a server that does just what the test says. */
export async function openOn(
  onConnection: (ws: WebSocket) => void,
  client: Partial<ConnectTerminalOptions> = {},
): Promise<TerminalConnection> {
  const base = await serve((server) => new WebSocketServer({ server }).on('connection', onConnection))
  const terminal = await connectTerminal({ base, userId: 'ada', sessionId: 's1', settle: 20, ...client })
  afterwards(terminal)
  return terminal
}

/** The binary messages that an upstream got. */
export function inputFrames({ requests }: TestUpstream): Uint8Array[] {
  return requests.flatMap(({ frames }) => frames.filter((frame) => typeof frame !== 'string'))
}

export function sha256(...chunks: Uint8Array[]): string {
  return createHash('sha256').update(Buffer.concat(chunks)).digest('hex')
}

/** The text of the next chunks of output; all of it up to the end with `Infinity`. */
export async function firstChunks(terminal: TerminalConnection, count: number): Promise<string> {
  let text = ''
  for await (const chunk of terminal) {
    text += Buffer.from(chunk).toString()
    count -= 1
    if (count === 0) break
  }
  return text
}

/** A shell that prints the hash of its first so many bytes of input. */
export function hashing(total: number): TestShell {
  const hash = createHash('sha256')
  let received = 0
  return ({ output }) => ({
    input(data) {
      hash.update(data)
      received += data.length
      if (received === total) void output(hash.digest('hex'))
    },
  })
}
