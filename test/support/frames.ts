import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { WebSocket } from 'ws'

/** A frame whose reserved bits are set, which breaks the protocol (RFC 6455, section 5.2). */
export const INVALID_FRAME = Buffer.from([0xff, 0xff, 0xff, 0xff])

/** Returns a close frame of a server (RFC 6455, section 5.5.1). */
export function closeFrame(code: number): Buffer {
  const frame = Buffer.from([0x88, 2, 0, 0])
  frame.writeUInt16BE(code, 2)
  return frame
}

/** Returns the TCP socket under a WebSocket, to write bytes that ws would not send. */
export function tcpOf(ws: WebSocket): Socket {
  return Reflect.get(ws, '_socket')
}

/** Writes a chunk again and again, as fast as the other side reads, until the stream is destroyed. */
export function flood(stream: Writable, chunk: Buffer): void {
  const pour = (): void => {
    while (!stream.destroyed && stream.write(chunk));
  }
  stream.on('drain', pour)
  pour()
}
