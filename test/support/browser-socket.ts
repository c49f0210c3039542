import { WebSocket } from 'ws'
import type { SocketConstructor } from '../../src/index.ts'

/**
 * A real socket with no more to it than a browser's: no headers, no status of a refused handshake, no reason for an
 * error, no pausing, no pings, no way to end it by force.
 */
class BrowserSocket extends EventTarget {
  readonly #ws: WebSocket

  constructor(url: string, ...rest: unknown[]) {
    super()
    if (rest.length > 0) throw new TypeError('a browser would take that for a subprotocol')
    if (new URL(url).hostname === 'insecure.example') throw new DOMException(`${url} is insecure`, 'SecurityError')
    this.#ws = new WebSocket(url, { perMessageDeflate: false })
    this.#ws.on('open', () => this.dispatchEvent(new Event('open')))
    this.#ws.on('message', (data, isBinary) => {
      this.dispatchEvent(new MessageEvent('message', { data: isBinary ? data : String(data) }))
    })
    // Node's own has an error that says nothing; browsers have none.
    this.#ws.on('error', () => {
      this.dispatchEvent(Object.assign(new Event('error'), { error: new TypeError('Received network error') }))
    })
    this.#ws.on('close', (code, reason) => {
      this.dispatchEvent(Object.assign(new Event('close'), { code, reason: reason.toString() }))
    })
  }

  set binaryType(type: 'arraybuffer') {
    this.#ws.binaryType = type
  }

  get bufferedAmount(): number {
    return this.#ws.bufferedAmount
  }

  send(data: string | ArrayBuffer): void {
    this.#ws.send(data)
  }

  close(code?: number, reason?: string): void {
    this.#ws.close(code, reason)
  }
}

export const browserSocket = BrowserSocket as unknown as SocketConstructor
