import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Behaviour } from './releases.ts'
import type { TestShell } from './shells.ts'

/** Whose a session is. */
export interface TestOwner {
  /** `X-User-Id` of the request that created it. */
  readonly userId: string
  /** `X-Session-Id` of the request that created it, `''` if there was none. */
  readonly chatId: string
  /** The orchestrator policy, `default` if none was named. */
  readonly policyId: string
  /** The orchestrator context, `default` if none was named. */
  readonly contextId: string
}

/** A session of a test upstream whose shell is running. */
export interface TestSession extends TestOwner {
  /** Names it in the path. */
  readonly id: string
  /** When it was created, an ISO 8601 date. */
  readonly createdAt: string
  /** How many clients are attached; a client that an inner server has refused is not. */
  readonly attached: number
  /** The size that the last resize asked for. */
  readonly size: { readonly cols: number; readonly rows: number }
  /** Prints, as the shell would. */
  readonly output: (data: string | Uint8Array) => Promise<void>
  /** Ends the shell, which most releases do not announce. */
  readonly exit: () => void
  /** Closes its clients' sockets with this code. */
  close(code: number, reason?: string): void
  /** Resets (RST) its clients' connections. */
  reset(): void
  /** Leaves its clients' connections open, and from now on neither reads them nor writes to them. */
  stall(): void
}

/** One socket, attached or on its way to it. */
export interface Client {
  readonly ws: WebSocket
  readonly socket: Socket
  /** Where to note how the server ended it. */
  readonly record: { closeCode: number | undefined }
  /**
   * Whether the server's way to the session has ended: its own connection, where it is an orchestrator. An orchestrator
   * finds out when it next has a message to pass on.
   */
  legEnded: boolean
}

/** Closes a client's socket; 1006, which no close frame can say, just drops it. */
export function endClient({ ws, record }: Client, code: number, reason = ''): void {
  record.closeCode ??= code
  if (code === 1006) ws.terminate()
  else {
    ws.close(code, reason)
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a field that the types do not tell of
    const { _closeTimer: timer } = ws as WebSocket & { _closeTimer?: { unref?(): void } | null }
    // `ws` waits 30 s for the client's answer, and would keep the process alive meanwhile.
    timer?.unref?.()
  }
}

/** A session as the server sees it. */
export interface ServerSession extends TestSession {
  /** Whether requests find the session: its shell is running, and it has not been deleted. */
  readonly alive: boolean
  /** Whether the PTY has been closed. Clients notice it at the next keystroke. */
  readonly deleted: boolean
  /** Whether a strict server would refuse a client with 4009. */
  readonly taken: boolean
  attach(client: Client): void
  input(data: Uint8Array): void
  resize(cols: number, rows: number): void
  /** Ends the shell and forgets the session. */
  kill(): void
  /** Ends with its container: what {@link kill} does, and the end of every orchestrator's connection to it. */
  tearDown(): void
}

const LARGEST_READ = 4096
// What a PTY holds for a shell that does not keep up, and how fast this shell does.
const PTY_BUFFER = 65_535
const PTY_BYTES_PER_MS = 4096

/** Starts a shell in a session. */
export function createSession(shell: TestShell, behaviour: Behaviour, owner: TestOwner): ServerSession {
  const { orchestrator, chatIsId, strictSessions, announcesEnd } = behaviour
  const clients = new Set<Client>()
  const unsent: Array<{ chunk: Uint8Array; sent: () => void }> = []
  let alive = true
  let deleted = false
  let size = { cols: 80, rows: 24 }
  let sending = false
  let stalled = false
  let abandoned = false
  let backlog = 0
  let lastInput = 0

  async function send(): Promise<void> {
    if (sending) return
    sending = true
    for (const client of clients) {
      const next = stalled || abandoned ? undefined : unsent.shift()
      if (!next) break
      // To the end of the line: clients of the same PTY take turns, as the real ones steal its output from each other.
      clients.delete(client)
      clients.add(client)
      const error = await new Promise((sent) => client.ws.send(next.chunk, { binary: true }, sent))
      // The event that says so never comes where a shell prints without pause.
      if (error) clients.delete(client)
      next.sent()
    }
    sending = false
    // What an orchestrator's leg without a client reads is lost, and the shell with it.
    if (abandoned && unsent.length > 0) kill()
    if (announcesEnd && !alive && isTaken() && unsent.length === 0) kill()
  }

  function isTaken(): boolean {
    return clients.size > 0 || abandoned
  }

  function endLegs(): void {
    for (const client of clients) {
      client.legEnded = true
      if (!orchestrator) endClient(client, 1000)
    }
  }

  function kill(): void {
    if (deleted) return
    alive = false
    deleted = true
    running.kill?.()
    unsent.length = 0
    if (announcesEnd) endLegs()
  }

  async function output(data: string | Uint8Array): Promise<void> {
    // No client gets this output. A shell that awaits it stops here, rather than printing for ever.
    if (deleted) await new Promise(() => {})
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data)
    const parts: Array<Promise<void>> = []
    for (let start = 0; start < bytes.length; start += LARGEST_READ) {
      const chunk = bytes.subarray(start, start + LARGEST_READ)
      parts.push(new Promise((sent) => unsent.push({ chunk, sent })))
    }
    void send()
    await Promise.all(parts)
  }

  /** How much of it the PTY takes: without a queue of its own, the server drops the rest. */
  function accepted(length: number): number {
    if (strictSessions) return length
    const now = performance.now()
    backlog = Math.max(0, backlog - (now - lastInput) * PTY_BYTES_PER_MS)
    lastInput = now
    const room = Math.min(length, Math.floor(PTY_BUFFER - backlog))
    backlog += room
    return room
  }

  const exit = (): void => {
    alive = false
    void send()
  }
  const running = shell({ output, exit })

  return {
    ...owner,
    id: (chatIsId && owner.chatId) || randomUUID().slice(0, 8),
    createdAt: new Date().toISOString(),
    output,
    exit,
    get alive() {
      return alive
    },
    get deleted() {
      return deleted
    },
    get taken() {
      return isTaken()
    },
    get attached() {
      return clients.size
    },
    get size() {
      return size
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
    input(data) {
      const taken = data.subarray(0, accepted(data.length))
      if (alive) running.input(taken)
    },
    resize(cols, rows) {
      size = { cols, rows }
      running.resize?.(cols, rows)
    },
    kill,
    tearDown() {
      kill()
      endLegs()
    },
    close(code, reason) {
      for (const client of clients) endClient(client, code, reason)
    },
    reset() {
      for (const { socket, record } of clients) {
        record.closeCode = 1006
        socket.resetAndDestroy()
      }
    },
    stall() {
      stalled = true
      for (const { ws } of clients) ws.pause()
    },
  }
}
