import { connectTerminal, type ConnectTerminalOptions, type TerminalConnection } from '../../../src/index.ts'

class Traced extends WebSocket {}

const base = { base: 'https://terminals.example', userId: 'ada' }

export const accepted: ConnectTerminalOptions[] = [
  { ...base, WebSocket },
  { ...base, WebSocket: globalThis.WebSocket },
  { ...base, WebSocket: Traced },
]

export const refused: ConnectTerminalOptions[] = [
  // @ts-expect-error -- an object, not a class
  { ...base, WebSocket: new WebSocket('ws://h') },
  // @ts-expect-error -- no WebSocket class
  { ...base, WebSocket: EventSource },
]

export async function show(terminal: TerminalConnection): Promise<string> {
  const blobs: BlobPart[] = []
  for await (const chunk of terminal) blobs.push(new Uint8Array(chunk))
  return new Blob(blobs).text()
}

export const connected: Promise<TerminalConnection> = connectTerminal({ ...base, WebSocket: globalThis.WebSocket })
