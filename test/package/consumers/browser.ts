import { Terminal } from '@xterm/xterm'
import { connectTerminal, type ConnectTerminalOptions, type TerminalConnection } from '../../../src/index.ts'
import { UpstreamAddon, type UpstreamAddonOptions, type XtermElement, type XtermLike } from '../../../src/xterm.ts'

class Traced extends WebSocket {}

const base = { base: 'https://terminals.example', userId: 'ada' }

export const accepted: ConnectTerminalOptions[] = [
  { ...base, WebSocket },
  { ...base, WebSocket: globalThis.WebSocket },
  { ...base, WebSocket: Traced },
  // @ts-expect-error -- an object, not a class
  { ...base, WebSocket: new WebSocket('ws://h') },
  // @ts-expect-error -- no WebSocket class
  { ...base, WebSocket: EventSource },
]

export async function save(terminal: TerminalConnection): Promise<string> {
  const blobs: BlobPart[] = []
  for await (const chunk of terminal) blobs.push(new Uint8Array(chunk))
  return new Blob(blobs).text()
}

export async function show(): Promise<[XtermLike, XtermElement]> {
  const terminal = await connectTerminal({ ...base, WebSocket: globalThis.WebSocket })
  const xterm = new Terminal()
  const options: UpstreamAddonOptions = { notes: { reconnecting: 'Verbindung …' } }
  const addon: UpstreamAddon = new UpstreamAddon(terminal, options)
  xterm.loadAddon(addon)
  // @ts-expect-error -- a socket, which @xterm/addon-attach takes
  xterm.loadAddon(new UpstreamAddon(new WebSocket('ws://h')))
  return [xterm, document.body]
}
