import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { WebSocket, type ClientOptions } from 'ws'
import {
  startTestUpstream,
  type TestRelease,
  type TestSession,
  type TestUpstream,
  type TestUpstreamOptions,
} from '../../src/testing.ts'
import { echo } from './shells.ts'

export const KEY = 'sk-1'
export const USER = 'ada'
export const API = '/api/terminals'

export const orchestrators = ['terminals@0.0.2', 'terminals@0.0.3', 'terminals@0.2.2'] as const
export const lenient = ['open-terminal@0.8.1', 'open-terminal@0.11'] as const
/** Each orchestrator in front of an Open Terminal that does not check the user of a session. */
export const lenientInside = orchestrators.map((release) => ({ release, inner: 'open-terminal@0.11' }) as const)
/** The releases that check the user of a session, and let one client attach. */
export const strict = ['open-terminal@0.14', 'open-terminal@0.14.2', 'open-terminal@0.14.5'] as const
/** Each orchestrator in front of each strict Open Terminal. */
export const strictInside = orchestrators.flatMap((release) => strict.map((inner) => ({ release, inner }) as const))
/** The releases that close the socket when the shell ends. */
export const announcing: readonly TestRelease[] = strict.slice(1)
export const ownServers = [...lenient, ...strict] as const
export const releases: readonly TestRelease[] = [...orchestrators, ...ownServers]

/** Starts an upstream that ends with the test, and whose shells print nothing by themselves. */
export async function start(options: TestUpstreamOptions = {}): Promise<TestUpstream> {
  const upstream = await startTestUpstream({ key: KEY, shell: echo, ...options })
  onTestFinished(() => upstream.close())
  return upstream
}

/** Headers; a value of `undefined` leaves the header out. */
export type Headers = Record<string, string | undefined>

/** Returns the headers of a request. Default: valid credentials. */
export function withDefaults(headers: Headers): Record<string, string> {
  const all = Object.entries({ authorization: `Bearer ${KEY}`, 'x-user-id': USER, ...headers })
  return Object.fromEntries(all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])))
}

/** The address of a test upstream or a real server. */
export type Address = Pick<TestUpstream, 'url'>

/**
 * Sends a REST request, with JSON in its body unless `content` is a form; resolves with the status and the body, parsed
 * if it is JSON.
 */
export async function ask(
  upstream: Address,
  method: string,
  path: string = API,
  headers: Headers = {},
  content?: object,
): Promise<[status: number, body: unknown]> {
  const json = content === undefined || content instanceof FormData ? {} : { 'content-type': 'application/json' }
  const body = content instanceof FormData ? content : content && JSON.stringify(content)
  const all = withDefaults({ ...json, ...headers })
  const response = await fetch(upstream.url + path, { method, headers: all, ...(body && { body }) })
  const isJson = response.headers.get('content-type') === 'application/json'
  const text = await response.text()
  return [response.status, isJson && text !== '' ? JSON.parse(text) : text]
}

/** Creates a session over REST; resolves with the session as the upstream has it. */
export async function create(upstream: TestUpstream, headers: Headers = {}, prefix = ''): Promise<TestSession> {
  const [status, body] = await ask(upstream, 'POST', prefix + API, headers)
  const session = upstream.sessions.at(-1)
  if (status !== 200 || !session) throw new Error(`POST answered ${status} ${JSON.stringify(body)}`)
  return session
}

export function authFrame(token: unknown = KEY, more: object = {}): string {
  return JSON.stringify({ type: 'auth', token, ...more })
}

export interface Shape {
  /** Default: everything that any release wants. */
  query?: Record<string, string>
  headers?: Headers
  /** The frames to send as soon as the socket is open. Default: the auth frame. */
  first?: ReadonlyArray<string | Uint8Array>
  prefix?: string
  options?: ClientOptions
}

export interface RawSocket {
  readonly ws: WebSocket
  /** The messages so far. */
  readonly frames: Uint8Array[]
  /** The bytes of all messages so far. */
  readonly bytes: () => Buffer
  /** Resolves once the output contains the text, after its first `after` bytes. Rejects if the socket ends before. */
  readonly printed: (text: string, after?: number) => Promise<void>
  /** Resolves at the end: `'HTTP 403'` after a refused handshake, `'open, 4001 Invalid API key'` after a close. */
  readonly ended: Promise<string>
}

/** Opens a socket to a session. Default: with credentials that every release accepts. */
export function dial(upstream: Address, sessionId: string, shape: Shape = {}): RawSocket {
  const { query = { user_id: USER, token: KEY }, headers = {}, first = [authFrame()], prefix = '' } = shape
  const url = `${upstream.url.replace('http', 'ws')}${prefix}${API}/${sessionId}?${new URLSearchParams(query)}`
  const ws = new WebSocket(url, { perMessageDeflate: false, ...shape.options, headers: withDefaults(headers) })
  onTestFinished(() => ws.terminate())
  const frames: Uint8Array[] = []
  const bytes = (): Buffer => Buffer.concat(frames)
  ws.on('message', (data: Buffer) => frames.push(data))
  ws.once('open', () => {
    for (const frame of first) ws.send(frame)
  })
  const ended = new Promise<string>((resolve) => {
    let failure: string | undefined
    ws.on('error', ({ message }) => (failure = message.replace('Unexpected server response:', 'HTTP')))
    ws.once('close', (code, reason) => resolve(failure ?? `open, ${code} ${reason.toString()}`.trim()))
  })
  const broken = ended.then((how): never => {
    throw new Error(`The socket has ended (${how}), and the output is only ${JSON.stringify(bytes().toString())}`)
  })
  // Most tests end their sockets, and wait for no output then.
  broken.catch(() => {})
  return {
    ws,
    frames,
    bytes,
    ended,
    async printed(text, after) {
      while (!bytes().includes(text, after)) await Promise.race([once(ws, 'message'), broken])
    },
  }
}

/** Opens a socket to a session. Default: to a new session. Resolves when the upstream has attached the socket. */
export async function attach(upstream: TestUpstream, sessionId?: string, shape?: Shape): Promise<RawSocket> {
  const socket = dial(upstream, sessionId ?? (await create(upstream)).id, shape)
  await once(socket.ws, 'open')
  await roundTrip(socket)
  return socket
}

/** Resolves when the upstream has received everything that was sent before. */
export async function roundTrip({ ws }: RawSocket): Promise<void> {
  ws.ping()
  await once(ws, 'pong')
}

/** Resolves with what happens next to a socket: a message, its end, or no event for 60 ms. */
export async function next({ ws, ended }: RawSocket): Promise<string> {
  const message = once(ws, 'message').then(([data]) => `printed ${String(data)}`)
  return Promise.race([message, ended, sleep(60, 'silence')])
}
