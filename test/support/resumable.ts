import { WebSocketServer, type WebSocket } from 'ws'
import { connectTerminal, type ConnectTerminalOptions, type TerminalConnection } from '../../src/index.ts'
import { relayTo, type Cut, type CuttableRelay } from './cuttable-relay.ts'
import { pageOf, startGateway, type ServedGateway } from './terminal-gateway.ts'
import { afterwards, serve, until } from './upstream.ts'

export interface Resumable {
  readonly gateway: ServedGateway
  readonly relay: CuttableRelay
  readonly terminal: TerminalConnection
  /** Returns all output so far. */
  readonly text: () => string
  /** Prints something in the shell. */
  readonly print: (text: string) => Promise<void>
}

/** Opens a terminal behind a gateway, over a connection that can be cut. */
export async function openResumable(
  options: Partial<ConnectTerminalOptions> = {},
  gatewayOptions: Parameters<typeof startGateway>[0] = {},
  server: Parameters<typeof startGateway>[1] = {},
): Promise<Resumable> {
  const gateway = await startGateway(gatewayOptions, server)
  const relay = await relayTo(gateway)
  const terminal = await connectTerminal({ ...pageOf(relay), reconnect: { delay: 10 }, ...options })
  afterwards(terminal)
  let text = ''
  terminal.onData((chunk) => (text += Buffer.from(chunk).toString()))
  return {
    gateway,
    relay,
    terminal,
    text: () => text,
    print: async (output) => gateway.upstream.sessions[0]?.output(output),
  }
}

/** Cuts the connection, and resolves when the terminal has noticed. */
export async function cut({ relay, terminal }: Resumable, how: Cut = 'reset'): Promise<void> {
  relay.cut(how)
  await until(() => terminal.status !== 'open')
}

/** Opens a terminal on a server of its own, which answers the auth frame with `answer`. */
export async function openOnServer(
  answer: (ws: WebSocket, auth: string, count: number) => void,
  options: Partial<ConnectTerminalOptions> = {},
): Promise<TerminalConnection> {
  let count = 0
  const base = await serve((server) => {
    server.on('request', (_request, response) => response.end('{"id":"s1"}'))
    new WebSocketServer({ server }).on('connection', (ws) => {
      ws.once('message', (auth) => answer(ws, String(auth), (count += 1)))
    })
  })
  const terminal = await connectTerminal({ base, userId: 'ada', settle: 50, reconnect: { delay: 1 }, ...options })
  afterwards(terminal)
  return terminal
}
