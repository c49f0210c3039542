import { WebSocket } from 'ws'
import type { SocketConstructor } from '../../src/index.ts'

/**
 * A real socket that can do only what a browser's socket can: it sends no headers and no pings, it cannot pause or
 * terminate, and it reports neither the status of a refused handshake nor the reason of an error.
 */
class BrowserSocket extends EventTarget {
  readonly #ws: WebSocket

  constructor(url: string, ...rest: unknown[]) {
    super()
    if (rest.length > 0) throw new TypeError('a browser reads further arguments as subprotocols')
    if (new URL(url).hostname === 'insecure.example') throw new DOMException(`${url} is insecure`, 'SecurityError')
    this.#ws = new WebSocket(url, { perMessageDeflate: false })
    this.#ws.on('open', () => this.dispatchEvent(new Event('open')))
    this.#ws.on('message', (data, isBinary) => {
      this.dispatchEvent(new MessageEvent('message', { data: isBinary ? data : String(data) }))
    })
    // The error event of Node's own class carries an error without a reason. That of browsers carries no error.
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
