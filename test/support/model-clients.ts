import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket, type ClientOptions } from 'ws'
import { connectTerminal, type ConnectTerminalOptions, type TerminalConnection } from '../../src/index.ts'
import type { TerminalClose } from '../../src/terminal/types.ts'
import { tcpOf } from './frames.ts'
import type { ModelShell } from './model-shells.ts'

/** How long something may take that has to happen. Only a run that fails waits for so long. */
const PATIENCE_MS = 10_000

/** Resolves once the condition holds. Rejects with what should have happened if it never does. */
export async function eventually(condition: () => boolean, what: () => string): Promise<void> {
  const late = performance.now() + PATIENCE_MS
  while (!condition()) {
    if (performance.now() > late) throw new Error(`This never happened: ${what()}`)
    await sleep(1)
  }
}

/** How a client's connection is cut: RST, or FIN without a close frame. */
export type Cut = 'reset' | 'close'

function cutSocket(ws: WebSocket, how: Cut): void {
  if (how === 'reset') tcpOf(ws).resetAndDestroy()
  else tcpOf(ws).destroy()
}

/** A client of a user, while it is joined to a shell or wants to be. */
export interface ModelClient {
  readonly kind: 'plain' | 'library'
  readonly shell: ModelShell
  /** The offset of its first byte in what the shell has printed. */
  readonly from: number
  /** What it has got so far. */
  readonly received: Buffer
  /** How it has ended, such as `4009 Taken over`; `undefined` while it is open. */
  readonly end: string | undefined
  send(text: string): void
}

/** A bare WebSocket, as Open WebUI's page has it, or one that names an offset. It never comes back by itself. */
export class PlainClient implements ModelClient {
  readonly kind = 'plain'
  readonly shell: ModelShell
  readonly #ws: WebSocket
  #received = Buffer.alloc(0)
  #end: string | undefined
  /** The text frames, which only a client that names an offset may get. */
  readonly texts: string[] = []

  constructor(base: string, shell: ModelShell) {
    this.shell = shell
    this.#ws = new WebSocket(`${base.replace('http', 'ws')}/api/terminals/${shell.id}`)
    this.#ws.on('error', () => {})
    this.#ws.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.#received = Buffer.concat([this.#received, data])
      else this.texts.push(String(data))
    })
    this.#ws.on('close', (code, reason) => (this.#end = `${code} ${String(reason)}`.trim()))
  }

  /** Says who it is, and types a mark. Resolves when the shell has printed the mark, or the connection has ended. */
  async join(auth: object, mark: string): Promise<void> {
    await eventually(
      () => this.#ws.readyState !== WebSocket.CONNECTING,
      () => 'an answer to a handshake',
    )
    if (this.#ws.readyState === WebSocket.OPEN) {
      this.#ws.send(JSON.stringify({ type: 'auth', ...auth }))
      this.send(mark)
    }
    await eventually(
      () => this.#end !== undefined || this.#received.includes(mark),
      () => `the end of a client, or its mark ${mark}`,
    )
  }

  get received(): Buffer {
    return this.#received
  }

  get end(): string | undefined {
    return this.#end
  }

  /** A client that names no offset gets all output, because this is less than what is kept. */
  get from(): number {
    const attached = this.texts[0]
    return attached === undefined ? 0 : (JSON.parse(attached) as { offset: number }).offset
  }

  send(text: string): void {
    this.#ws.send(Buffer.from(text))
  }

  cut(how: Cut): void {
    cutSocket(this.#ws, how)
  }

  leave(): void {
    this.#ws.close(1000)
  }
}

/**
 * A page with `connectTerminal`, which comes back by itself. It can sleep: then it asks for its token only when it
 * wakes.
 */
export class LibraryClient implements ModelClient {
  readonly kind = 'library'
  readonly from = 0
  // Set once the terminal is open, which is before anybody asks for it.
  shell!: ModelShell
  terminal!: TerminalConnection
  /** The generation of its last attach, as the model counts them. */
  generation = 0
  isAsleep = false
  /** How many more times it hands out the previous token. */
  staleTokens = 0
  readonly deletesOnClose: boolean
  readonly #sockets: WebSocket[] = []
  readonly #chunks: Uint8Array[] = []
  #wake = (): void => {}
  #awake: Promise<void> = Promise.resolve()
  #close: TerminalClose | undefined

  constructor(deletesOnClose: boolean) {
    this.deletesOnClose = deletesOnClose
  }

  /**
   * Connects to a session, or to a new one. `tokenOf` gets whether it is the token before the last one that is asked
   * for.
   */
  async open(options: Partial<ConnectTerminalOptions> & { base: string }, tokenOf: (isStale: boolean) => string) {
    const sockets = this.#sockets
    class Recorded extends WebSocket {
      constructor(url: string, protocols?: string[], more?: ClientOptions) {
        super(url, protocols, more)
        sockets.push(this)
      }
    }
    this.terminal = await connectTerminal({
      authType: 'session',
      userId: 'page',
      key: async () => {
        await this.#awake
        const isStale = this.staleTokens > 0
        if (isStale) this.staleTokens -= 1
        return tokenOf(isStale)
      },
      // Longer than `authorize` may take: silence does not mean that the client is let in.
      settle: 1_000,
      retry: { attempts: 1 },
      reconnect: { delay: 2 },
      keepAlive: 0,
      deleteOnClose: this.deletesOnClose,
      WebSocket: Recorded as unknown as ConnectTerminalOptions['WebSocket'],
      ...options,
    })
    this.terminal.onData((chunk) => this.#chunks.push(chunk.slice()))
    void this.terminal.closed.then((close) => (this.#close = close))
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get end(): string | undefined {
    const { code, cause, error } = this.#close ?? {}
    return this.#close && `${code} ${cause} ${error?.code ?? ''}`.trim()
  }

  /** How many connections it has opened. */
  get dials(): number {
    return this.#sockets.length
  }

  send(text: string): void {
    // It rejects if the connection has just been cut; then the mark is missed.
    this.terminal.write(text).catch(() => {})
  }

  cut(how: Cut): void {
    const socket = this.#sockets.at(-1)
    if (socket) cutSocket(socket, how)
  }

  sleep(): void {
    this.isAsleep = true
    this.#awake = new Promise((resolve) => (this.#wake = resolve))
    this.cut('close')
  }

  wake(): void {
    this.isAsleep = false
    this.#awake = Promise.resolve()
    this.#wake()
  }
}
