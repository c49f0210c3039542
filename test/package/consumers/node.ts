import { createServer, type Server } from 'node:http'
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { Terminal } from '@xterm/headless'
import { WebSocket, WebSocketServer } from 'ws'
import type { CommandOptions } from '../../../src/command.ts'
import {
  createTerminalGateway,
  type AttachedEvent,
  type ClosedEvent,
  type GatewayAuthorization,
  type GatewaySession,
  type ScreenBuffer,
  type ScreenClasses,
  type ScreenEvent,
  type ScreenSerializer,
  type ScreenTerminal,
  type MovedBytes,
  type ParkedEvent,
  type RefusedEvent,
  type RefusedReason,
  type ResumedEvent,
  type SessionEvent,
  type TerminalClient,
  type TerminalGateway,
  type TerminalGatewayOptions,
  type TerminalOptions,
} from '../../../src/gateway.ts'
import {
  connectTerminal,
  type ConnectTerminalOptions,
  type TerminalErrorOptions,
  type UpstreamAuthOptions,
  type UpstreamOptions,
  type UpstreamTarget,
} from '../../../src/index.ts'
import {
  probeUpstream,
  type ProbeCheck,
  type ProbeCheckName,
  type ProbeFamily,
  type ProbeOptions,
  type ProbeOutcome,
  type ProbeReport,
  type ProbeShape,
} from '../../../src/probe.ts'
import {
  proxyTerminal,
  type AuthorizeOptions,
  type ClientSocket,
  type Counters,
  type ProxiedClient,
  type ProxyOptions,
  type ProxySummary,
  type TerminalClient as ClientOfProxy,
  type TerminalOptions as OptionsOfProxy,
} from '../../../src/proxy.ts'
import {
  startTestUpstream,
  type TestFault,
  type TestFaults,
  type TestInner,
  type TestOperation,
  type TestOwner,
  type TestRelease,
  type TestRequest,
  type TestSession,
  type TestShell,
  type TestShellIo,
  type TestShellProcess,
  type TestUpstream,
  type TestUpstreamOptions,
} from '../../../src/testing.ts'
import { UpstreamAddon, type UpstreamAddonOptions, type XtermLike } from '../../../src/xterm.ts'

const upstream: UpstreamOptions = { base: 'http://127.0.0.1:8000', userId: 'ada' }

/** An option that is `undefined` must be accepted like a missing one, also with `exactOptionalPropertyTypes`. */
type Nothing<T> = { [Name in keyof T as object extends Pick<T, Name> ? Name : never]: undefined }
type TakesNothing<T> = Nothing<T> extends Partial<T> ? true : false
export const optional: [
  TakesNothing<ConnectTerminalOptions>,
  TakesNothing<UpstreamAuthOptions>,
  TakesNothing<UpstreamTarget>,
  TakesNothing<TerminalErrorOptions>,
  TakesNothing<CommandOptions>,
  TakesNothing<TerminalGatewayOptions>,
  TakesNothing<AuthorizeOptions>,
  TakesNothing<ProbeOptions>,
  TakesNothing<TestUpstreamOptions>,
  TakesNothing<TestFaults>,
  TakesNothing<UpstreamAddonOptions>,
] = [true, true, true, true, true, true, true, true, true, true, true]

/** The types of the real one need those of a browser. */
class SerializeAddon implements ScreenSerializer {
  activate(): void {}
  serialize(): string {
    return ''
  }
  dispose(): void {}
}

const screen: ScreenClasses = { Terminal, SerializeAddon }
export const drawing: [ScreenTerminal, ScreenBuffer, ScreenSerializer] = [
  new Terminal(),
  new Terminal().buffer.normal,
  new SerializeAddon(),
]

const terminalOptions: TerminalOptions = { size: { cols: 80, rows: 24 }, keepAlive: 0 }

function authorize({ token, userId, chatId, sessionId, request }: TerminalClient): GatewayAuthorization {
  return { ...upstream, key: `${token}${userId}${sessionId}${request.url}`, chatId }
}

export function serve(): Server {
  const options: TerminalGatewayOptions = { authorize, screen, origins: ['https://chat.example'], ...terminalOptions }
  const gateway: TerminalGateway = createTerminalGateway(options)
  const { handleRequest, handleUpgrade } = gateway
  const server = createServer((request, response) => {
    const isAnswered: boolean = handleRequest(request, response)
    if (!isAnswered) response.end()
  })
  server.on('upgrade', (request, socket, head) => {
    if (!handleUpgrade(request, socket, head)) socket.destroy()
  })
  server.on('close', () => void gateway.close())
  const sessions: readonly GatewaySession[] = gateway.sessions
  const follow = (): AsyncIterableIterator<ScreenEvent> | undefined => sessions[0]?.[Symbol.asyncIterator]()
  console.log(sessions[0]?.attachedSince, follow())
  return server
}

export function log(event: AttachedEvent | ClosedEvent | ParkedEvent | ResumedEvent | RefusedEvent): string {
  const reason: RefusedReason = 'upstream'
  if ('reason' in event) return `${event.reason === reason} ${event.status}`
  const { sessionId }: SessionEvent = event
  const { bytesToClient = 0 }: Partial<MovedBytes> = 'bytesToClient' in event ? event : {}
  return `${sessionId} ${bytesToClient}`
}

class Proxied extends WebSocket {}

export const dialling: ConnectTerminalOptions[] = [
  { ...upstream, WebSocket },
  { ...upstream, WebSocket: Proxied },
]

export function proxy(server: WebSocketServer): void {
  const find = async ({ token, request }: ProxiedClient): Promise<UpstreamOptions> => ({
    ...upstream,
    key: `${token}${request?.url}`,
  })
  const ofGateway = (client: ClientOfProxy): Promise<UpstreamOptions> => find(client)
  const shared: OptionsOfProxy = terminalOptions
  const found: AuthorizeOptions = { authorize: find, ...shared }
  const options: ProxyOptions[] = [upstream, found]
  server.on('connection', async (client: WebSocket) => {
    const socket: ClientSocket = client
    const { endedBy, code, reason, error, ...counters }: ProxySummary = await proxyTerminal(socket, options[0] ?? found)
    const { bytesToUpstream }: Readonly<Counters> = counters
    console.log(endedBy, code, reason, error?.message, bytesToUpstream, ofGateway)
  })
}

export async function probe(): Promise<unknown[]> {
  const options: ProbeOptions = { ...upstream, tokenInUrl: 'never', idle: 0 }
  const { checks, family, works }: ProbeReport = await probeUpstream(options)
  const known: ProbeFamily[] = ['open-webui', ...(family ? [family] : [])]
  const shapes: ProbeShape[] = ['no-user', ...(works ? [works] : [])]
  const [first]: readonly ProbeCheck[] = checks
  const name: ProbeCheckName = first?.name ?? 'reachable'
  const outcome: ProbeOutcome['outcome'] = first?.outcome ?? 'skipped'
  return [known, shapes, name, outcome]
}

const echo: TestShell = ({ output, exit }: TestShellIo): TestShellProcess => ({
  input: (data) => void output(data),
  resize: (cols, rows) => void output(`${cols}x${rows}`),
  kill: exit,
})
const fault: TestFault = { refuse: 503, body: 'busy' }
const operation: TestOperation = 'create'
const faults: TestFaults = { [operation]: fault, attach: [{ delay: 1 }, undefined, 'drop'] }
const release: TestRelease = 'terminals@0.2.2'
const inner: TestInner = 'open-terminal@0.11'

export async function use(): Promise<string | undefined> {
  const options: TestUpstreamOptions = { release, inner, shell: echo, faults }
  await using server: TestUpstream = await startTestUpstream(options)
  const terminal = await connectTerminal({ base: server.url, userId: 'ada' })
  process.stdin.on('data', (chunk) => void terminal.write(chunk))
  Readable.from(terminal).pipe(process.stdout)
  void ReadableStream.from(terminal).cancel()
  const xterm = new Terminal()
  xterm.loadAddon(new UpstreamAddon(terminal, { notes: false }))
  const like: XtermLike = xterm
  like.write(new Uint8Array())
  const session: (TestSession & TestOwner) | undefined = server.sessions[0]
  session?.close(4003, 'not reachable')
  const request: TestRequest | undefined = server.requests[0]
  return request?.query['token']
}
