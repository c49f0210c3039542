import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { createInput } from './pty-input.ts'
import type { Behaviour } from './releases.ts'
import type { TestShell } from './shells.ts'

/** The user, chat, policy and context that a session belongs to. */
export interface TestOwner {
  /** `X-User-Id` of the request that created the session. */
  readonly userId: string
  /** `X-Session-Id` of the request that created the session, `''` without the header. */
  readonly chatId: string
  /** The orchestrator policy, `default` if the request named none. */
  readonly policyId: string
  /** The orchestrator context, `default` if the request named none. */
  readonly contextId: string
}

/** A session of a test upstream whose shell is running. */
export interface TestSession extends TestOwner {
  /** The session's name in the path. */
  readonly id: string
  /** When the session was created, an ISO 8601 date. */
  readonly createdAt: string
  /** How many clients are attached. A client that the inner server has refused does not count. */
  readonly attached: number
  /** The size that the last resize asked for. */
  readonly size: { readonly cols: number; readonly rows: number }
  /** Prints output as the shell would. */
  readonly output: (data: string | Uint8Array) => Promise<void>
  /** Ends the shell. Most releases do not announce it. */
  readonly exit: () => void
  /** Closes the sockets of the session's clients with this code. */
  close(code: number, reason?: string): void
  /** Resets (RST) the connections of the session's clients. */
  reset(): void
  /** Stops reading from the session's clients and writing to them. Their connections stay open. */
  stall(): void
}

/** The socket of a client that is attached to a session, or about to attach. */
export interface ServerClient {
  readonly ws: WebSocket
  readonly socket: Socket
  /** The record that notes the server's close code. */
  readonly record: { closeCode: number | undefined }
  /**
   * Whether the orchestrator's connection to the inner server has ended. The orchestrator notices when it has the next
   * message to forward.
   */
  innerEnded: boolean
}

/** The close code of a connection that ends without a close frame, which cannot carry that code. */
export const SILENT_DROP = 1006

/** Closes a client's socket with a code, or drops the connection. */
export function endClient({ ws, record }: ServerClient, code: number, reason = ''): void {
  record.closeCode ??= code
  if (code === SILENT_DROP) ws.terminate()
  else {
    ws.close(code, reason)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a private field, which the types do not have
    const { _closeTimer: timer } = ws as WebSocket & { _closeTimer?: { unref?(): void } | null }
    // `ws` waits 30 s for the client's close frame. That timer would keep the process alive.
    timer?.unref?.()
  }
}

/** A session as the server sees it. */
export interface ServerSession extends TestSession {
  /** Whether requests find the session: its shell is running, and it has not been deleted. */
  alive: boolean
  /** Whether the session has ended. A shell can end earlier: most servers notice only at the next request. */
  deleted: boolean
  size: { readonly cols: number; readonly rows: number }
  /** Whether a strict server would refuse another client with 4009. */
  readonly inUse: boolean
  /** The last 64 KiB of output. */
  recentOutput: Buffer
  attach(client: ServerClient): void
  /** Types into the shell. Returns `false` if that fails, which ends the session. */
  input(data: Uint8Array): boolean
  resize(cols: number, rows: number): void
  /** Ends the shell and forgets the session. */
  kill(): void
  /** Does what {@link kill} does, and ends every orchestrator's connection to the session. */
  tearDown(): void
}

const LARGEST_READ_BYTES = 4096
const RECENT_OUTPUT_BYTES = 64 * 1024

/** Creates a session and starts its shell. */
export function startSession(shell: TestShell, behaviour: Behaviour, owner: TestOwner): ServerSession {
  const { orchestrator, chatIsId, strictSessions, announcesEnd } = behaviour
  const clients = new Set<ServerClient>()
  const unsent: Array<{ chunk: Uint8Array; sent: () => void }> = []
  // Whether `send` is running: only one call may send, or chunks would overtake each other.
  let sending = false
  // Whether a test has called `stall`.
  let stalled = false
  // Whether an orchestrator's client has left. The orchestrator's own connection stays and swallows the output.
  let abandoned = false

  async function send(): Promise<void> {
    if (sending) return
    sending = true
    for (const client of clients) {
      const next = stalled || abandoned ? undefined : unsent.shift()
      if (!next) break
      // Clients of the same PTY take turns, because real clients steal its output from each other.
      clients.delete(client)
      clients.add(client)
      const error = await new Promise((sent) => client.ws.send(next.chunk, { binary: true }, sent))
      // While a shell prints without pause, the `close` event of the socket never fires.
      if (error) clients.delete(client)
      next.sent()
    }
    sending = false
    // An orchestrator whose client has left fails at the first output, and ends the session.
    if (abandoned && unsent.length > 0) session.kill()
    if (announcesEnd && !session.alive && session.inUse && unsent.length === 0) session.kill()
  }

  function endInnerConnections(): void {
    for (const client of clients) {
      client.innerEnded = true
      if (!orchestrator) endClient(client, 1000)
    }
  }

  const session: ServerSession = {
    ...owner,
    id: (chatIsId && owner.chatId) || randomUUID().slice(0, 8),
    createdAt: new Date().toISOString(),
    alive: true,
    deleted: false,
    // What every server starts with.
    size: { cols: 80, rows: 24 },
    recentOutput: Buffer.alloc(0),
    get inUse() {
      return clients.size > 0 || abandoned
    },
    get attached() {
      return clients.size
    },
    async output(data) {
      // A shell that awaits its output must stop here: no client gets it, and a loop would print forever.
      if (session.deleted) await new Promise(() => {})
      const bytes = typeof data === 'string' ? Buffer.from(data) : new Uint8Array(data)
      session.recentOutput = Buffer.concat([session.recentOutput, bytes]).subarray(-RECENT_OUTPUT_BYTES)
      const parts: Array<Promise<void>> = []
      for (let start = 0; start < bytes.length; start += LARGEST_READ_BYTES) {
        const chunk = bytes.subarray(start, start + LARGEST_READ_BYTES)
        parts.push(new Promise((sent) => unsent.push({ chunk, sent })))
      }
      void send()
      await Promise.all(parts)
    },
    exit() {
      session.alive = false
      void send()
    },
    attach(client) {
      clients.add(client)
      client.ws.once('close', () => {
        clients.delete(client)
        abandoned ||= orchestrator
        void send()
      })
      void send()
    },
    input: createInput((data) => (session.alive ? shellProcess.input(data) : undefined), strictSessions),
    resize(cols, rows) {
      session.size = { cols, rows }
      shellProcess.resize?.(cols, rows)
    },
    kill() {
      if (session.deleted) return
      session.alive = false
      session.deleted = true
      shellProcess.kill?.()
      unsent.length = 0
      if (announcesEnd) endInnerConnections()
    },
    tearDown() {
      session.kill()
      endInnerConnections()
    },
    close(code, reason) {
      for (const client of clients) endClient(client, code, reason)
    },
    reset() {
      for (const { socket, record } of clients) {
        record.closeCode = SILENT_DROP
        socket.resetAndDestroy()
      }
    },
    stall() {
      stalled = true
      for (const { ws } of clients) ws.pause()
    },
  }
  const shellProcess = shell({ output: session.output, exit: session.exit })
  return session
}
