import type { ClientSession } from '../client/client.ts'
import type { Replay } from './session-output.ts'

/** The answer to a heartbeat (PROTOCOL 8.4). */
export const PONG = '{"type":"pong"}'

/** Tells a client that can resume sessions where its output begins (PROTOCOL 8.2). */
export function announce(client: ClientSession, { offset, replay }: Replay, keepFor: number, generation: string): void {
  sendText(client, JSON.stringify({ type: 'attached', offset, replay, keepFor, generation, paced: true }))
}

/** Sends a text frame to a client that can resume sessions. Any other client would print it (PROTOCOL 7.2). */
function sendText({ client }: ClientSession, text: string): void {
  client.send(Buffer.from(text), { binary: false }, () => {})
}
