import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import {
  API,
  ask,
  authFrame,
  dial,
  KEY,
  USER,
  type Headers,
  type RawSocket,
  type Shape,
} from '../support/raw-client.ts'

/** A server that the cases run on: a real Open Terminal, or the test upstream that stands for it. Its key is `KEY`. */
export interface Subject {
  readonly name: string
  readonly url: string
  /** The release of the test upstream that behaves like this server. */
  readonly standIn: StandIn
  /** The bytes of output in the test of large output. */
  readonly flood: number
  /** ms without a close after which a server counts as silent. */
  readonly silence: number
}

export const standIns = ['0.8.1', '0.11', '0.14', '0.14.2', '0.14.5'] as const
/** The part after `open-terminal@` in a release of the test upstream. */
type StandIn = (typeof standIns)[number]

/** Creates a session, and resolves with its id. */
export async function createOn(subject: Subject, headers: Headers = {}): Promise<string> {
  const [status, body] = await ask(subject, 'POST', API, headers)
  expect(status).toBe(200)
  return (body as { id: string }).id
}

/** Attaches with credentials that every release accepts. Resolves when the shell prompts. */
export async function attachTo(subject: Subject, id: string, shape?: Shape): Promise<RawSocket> {
  const socket = dial(subject, id, shape)
  expect(await outcomeOf(socket)).toBe('attached')
  return socket
}

/** Resolves with the outcome of an attach: the servers do not confirm success, so the shell's prompt stands for it. */
export function outcomeOf(socket: RawSocket): Promise<string> {
  return Promise.race([once(socket.ws, 'message').then(() => 'attached'), socket.ended])
}

/** Resolves with the code that the server closes with, or with `silence`. */
async function codeOf({ silence }: Subject, { ended }: RawSocket): Promise<string> {
  const text = await Promise.race([ended, sleep(silence, 'silence')])
  return text.replace(/^open, (\d+).*/, '$1')
}

/**
 * Types a command, and resolves with the output up to its end. The PTY's echo of the command does not count as the end.
 */
export async function runOn({ ws, bytes, printed }: RawSocket, command: string): Promise<string> {
  const before = bytes().length
  ws.send(Buffer.from(`${command}; echo d'one'\n`))
  await printed('done', before)
  return bytes().subarray(before).toString()
}

/** Disconnects, and resolves when the session is gone. Most releases do not announce that, so this polls. */
export async function endSession(
  subject: Subject,
  { ws, ended }: RawSocket,
  id: string,
  headers?: Headers,
): Promise<void> {
  ws.close()
  await ended
  await expect.poll(async () => (await ask(subject, 'GET', `${API}/${id}`, headers))[0], { timeout: 10_000 }).toBe(404)
}

/** A case with different outcomes in the releases, and the expected outcome of each. */
export interface Difference {
  readonly title: string
  /** The column in the table of README.md. */
  readonly column: string
  readonly observe: (subject: Subject) => Promise<string>
  readonly expected: Record<StandIn, string>
}

/** Assigns the outcomes to the stand-ins, in the order of `standIns`. */
export function expecting(...outcomes: [string, string, string, string, string]): Record<StandIn, string> {
  return Object.fromEntries(standIns.map((name, index) => [name, outcomes[index]])) as Record<StandIn, string>
}

const CHAT = { 'x-session-id': 'chat-1' }
const BIG = 102_400

export const differences: readonly Difference[] = [
  {
    title: 'the chat of a session (X-Session-Id)',
    column: 'chat',
    expected: expecting('ignored', 'is the id', 'checked', 'checked', 'checked'),
    async observe(subject) {
      const id = await createOn(subject, CHAT)
      const isChecked = (await ask(subject, 'GET', `${API}/${id}`))[0] === 404
      await ask(subject, 'DELETE', `${API}/${id}`, CHAT)
      if (isChecked) return 'checked'
      return id === 'chat-1' ? 'is the id' : 'ignored'
    },
  },
  {
    title: 'another user (X-User-Id)',
    column: 'another user',
    expected: expecting('attached', 'attached', '4004', '4004', '4004'),
    async observe(subject) {
      const id = await createOn(subject)
      const outcome = await outcomeOf(dial(subject, id, { headers: { 'x-user-id': 'bob' } }))
      await ask(subject, 'DELETE', `${API}/${id}`)
      return outcome.replace('open, 4004 Session not found', '4004')
    },
  },
  {
    title: 'a second client of a session',
    column: 'second client',
    expected: expecting('shares', 'shares', '4009', '4009', '4009'),
    async observe(subject) {
      const id = await createOn(subject)
      const first = await attachTo(subject, id)
      const code = await codeOf(subject, dial(subject, id))
      // Makes the shell print. The server gives the output to either client.
      first.ws.send(Buffer.from(':\n'))
      await endSession(subject, first, id)
      return code === 'silence' ? 'shares' : code
    },
  },
  {
    title: `${BIG} bytes in one message to a shell that is not reading`,
    column: '100 KB at once',
    expected: expecting('cut short', 'cut short', 'whole', 'whole', 'whole'),
    async observe(subject) {
      const id = await createOn(subject)
      const socket = await attachTo(subject, id)
      socket.ws.send(Buffer.from(`stty raw -echo; echo as'leep'; sleep 1; echo aw'ake'; sed /END/q | wc -c\n`))
      await socket.printed('asleep')
      socket.ws.send(Buffer.from(`${'x'.repeat(79)}\n`.repeat(BIG / 80)))
      // A server that is busy may send both words at once.
      await socket.printed('awake')
      // The server drops this too until the shell has read some of the input, so it is sent repeatedly.
      const typing = setInterval(() => socket.ws.send(Buffer.from('END\n')), 100)
      const count = /awake\s+(\d+)\s/
      while (!count.test(socket.bytes().toString())) await once(socket.ws, 'message')
      clearInterval(typing)
      const counted = Number(count.exec(socket.bytes().toString())?.[1])
      await endSession(subject, socket, id)
      return counted >= BIG ? 'whole' : 'cut short'
    },
  },
  {
    title: 'the end of the shell',
    column: "shell's end",
    expected: expecting('silence', 'silence', 'silence', '1000', '1000'),
    async observe(subject) {
      const id = await createOn(subject)
      const socket = await attachTo(subject, id)
      socket.ws.send(Buffer.from('exit\n'))
      const code = await codeOf(subject, socket)
      await endSession(subject, socket, id)
      return code
    },
  },
  {
    title: 'a DELETE of the session',
    column: 'DELETE',
    expected: expecting('silence', 'silence', 'silence', '1000', '1000'),
    async observe(subject) {
      const id = await createOn(subject)
      const socket = await attachTo(subject, id)
      expect(await ask(subject, 'DELETE', `${API}/${id}`)).toEqual([200, { status: 'deleted' }])
      const code = await codeOf(subject, socket)
      if (code !== 'silence') return code
      socket.ws.send(Buffer.from('x'))
      expect(await socket.ended).toBe('open, 1006')
      return code
    },
  },
  {
    title: 'a text message that is JSON but not an object',
    column: 'poison',
    expected: expecting('1006', '1006', '1006', '1000', '1000'),
    async observe(subject) {
      const id = await createOn(subject)
      const socket = await attachTo(subject, id)
      socket.ws.send('1')
      const code = await codeOf(subject, socket)
      await endSession(subject, socket, id)
      return code
    },
  },
  {
    title: 'a token that is not ASCII',
    column: 'token `ü`',
    expected: expecting('Invalid API key', 'Auth timeout or invalid payload', '1006', '1006', 'Invalid API key'),
    async observe(subject) {
      const id = await createOn(subject)
      const outcome = await outcomeOf(dial(subject, id, { first: [authFrame('ü')] }))
      await ask(subject, 'DELETE', `${API}/${id}`)
      return outcome.replace(/^open, (4001 )?/, '')
    },
  },
]

/** Attaches that have the same outcome in every release. */
export const attaches: ReadonlyArray<[what: string, shape: Shape & { session?: string }, outcome: string]> = [
  ['`user_id`, then the auth frame', { query: { user_id: USER } }, 'attached'],
  ['`token` and `user_id`, then the auth frame', {}, 'attached'],
  ['nothing but the auth frame', { query: {} }, 'attached'],
  ['the wrong key', { first: [authFrame('sk-2')] }, 'open, 4001 Invalid API key'],
  ['no token', { first: ['{"type":"auth"}'] }, 'open, 4001 Invalid API key'],
  ['another type', { first: [`{"type":"hello","token":"${KEY}"}`] }, 'open, 4001 Invalid API key'],
  ['text that is not JSON', { first: [`Bearer ${KEY}`] }, 'open, 4001 Auth timeout or invalid payload'],
  ['no auth frame', { first: [] }, 'open, 4001 Auth timeout or invalid payload'],
  ['the id of an unknown session', { session: 'nowhere' }, 'HTTP 403'],
  ['a policy', { prefix: '/p/gold' }, 'HTTP 403'],
]

/** Clients that attach to the session of a chat. Strict releases require the chat in a header or in the auth frame. */
export const chats: ReadonlyArray<[where: string, chat: string, shape: Shape, isOwner: boolean]> = [
  ['in a header', 'a', { headers: { 'x-session-id': 'a' } }, true],
  ['in the auth frame', 'b', { first: [authFrame(KEY, { chat_id: 'b' })] }, true],
  ['in the auth frame, and another in a header', 'c', inBoth('c', 'x'), false],
  ['in a header, and another in the auth frame', 'd', inBoth('x', 'd'), true],
  ['wrong in a header', 'e', { headers: { 'x-session-id': 'x' } }, false],
  ['wrong in the auth frame', 'f', { first: [authFrame(KEY, { chat_id: 'x' })] }, false],
  ['nowhere', 'g', {}, false],
]

function inBoth(frame: string, header: string): Shape {
  return { first: [authFrame(KEY, { chat_id: frame })], headers: { 'x-session-id': header } }
}

/** Texts that every release ignores or accepts. */
export const harmless = ['ls', '', '{"type":"ping"}', '{"x":NaN}', '{"type":"resize","cols":true,"rows":24}']

/** Texts that end the shell in every release. */
export const poisons = [
  'null',
  '[]',
  'NaN',
  '{"type":"resize","cols":null,"rows":24}',
  '{"type":"resize","cols":80.0,"rows":24}',
  '{"type":"resize","cols":80,"rows":-1}',
  '{"type":"resize","cols":65536,"rows":24}',
  `{"x":1${'0'.repeat(4300)}}`,
  '['.repeat(100_000),
]
