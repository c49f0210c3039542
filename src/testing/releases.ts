import { wrongValue } from '../lib/arguments.ts'

/**
 * The releases that a test upstream can be: each differs from the others in what it wants of a client. Of Open
 * Terminal, one stands for all up to the next:
 * - `open-terminal@0.8.1`: takes no notice of the chat (`X-Session-Id`);
 * - `open-terminal@0.11` (0.11.32 to 0.11.34): makes the chat the id of the session;
 * - `open-terminal@0.14` (0.12.4 to 0.14.1): checks whose a session is, lets one client attach, takes input whole;
 * - `open-terminal@0.14.2`: also closes the socket with 1000 when the shell ends, however it does;
 * - `open-terminal@0.14.5`: also refuses a token that is no ASCII string with 4001, rather than dropping the connection.
 */
export type TestRelease =
  | 'terminals@0.0.2'
  | 'terminals@0.0.3'
  | 'terminals@0.2.2'
  | 'open-terminal@0.8.1'
  | 'open-terminal@0.11'
  | 'open-terminal@0.14'
  | 'open-terminal@0.14.2'
  | 'open-terminal@0.14.5'

/**
 * The releases that can run in the containers of an orchestrator.
 *
 * For tests of what an orchestrator hides: the same release of Terminals treats its clients differently in front of
 * another Open Terminal.
 */
export type TestInner = Extract<TestRelease, `open-terminal@${string}`>

/** What sets a release apart. */
export interface Behaviour {
  /** One container per user: ids are required, policies exist, and a session outlives its client. */
  readonly orchestrator: boolean
  /** The key is the query's `token`, checked before the handshake is answered. */
  readonly keyInHandshake: boolean
  /** `X-Terminal-Context-Id` and `context_id` mean something. */
  readonly contexts: boolean
  /** An orchestrator's answer to a session that its container does not know. */
  readonly unknownSession: 'drop' | 'redial'
  /** The chat is the id of its session. */
  readonly chatIsId: boolean
  /** The server checks who owns a session, lets one client attach at a time, and takes input whole. */
  readonly strictSessions: boolean
  /** The end of the shell is the end of the socket that is attached to it, with 1000. */
  readonly announcesEnd: boolean
  /** What becomes of an auth frame that the server trips over: `'late'` says that it was late or malformed. */
  readonly oddAuth: 'late' | 'drop' | 'refuse'
  /** The same for a token that cannot be compared: no string, or not ASCII. */
  readonly oddToken: 'late' | 'drop' | 'refuse'
}

const terminals: Behaviour = {
  orchestrator: true,
  keyInHandshake: false,
  contexts: false,
  unknownSession: 'drop',
  chatIsId: true,
  strictSessions: false,
  announcesEnd: false,
  oddAuth: 'late',
  oddToken: 'drop',
}
const lenient: Behaviour = { ...terminals, orchestrator: false, oddToken: 'late' }
const strict: Behaviour = { ...lenient, chatIsId: false, strictSessions: true, oddAuth: 'drop', oddToken: 'drop' }

/** @see https://github.com/open-webui/terminals and https://github.com/open-webui/open-terminal */
const releases: Record<TestRelease, Behaviour> = {
  'terminals@0.0.2': { ...terminals, keyInHandshake: true },
  'terminals@0.0.3': terminals,
  'terminals@0.2.2': { ...terminals, contexts: true, unknownSession: 'redial' },
  'open-terminal@0.8.1': { ...lenient, chatIsId: false, oddToken: 'refuse' },
  'open-terminal@0.11': lenient,
  'open-terminal@0.14': strict,
  'open-terminal@0.14.2': { ...strict, announcesEnd: true },
  'open-terminal@0.14.5': { ...strict, announcesEnd: true, oddAuth: 'refuse', oddToken: 'refuse' },
}

const usualInners: Partial<Record<TestRelease, TestInner>> = {
  'terminals@0.0.2': 'open-terminal@0.11',
  'terminals@0.0.3': 'open-terminal@0.11',
  'terminals@0.2.2': 'open-terminal@0.14.5',
}

/** Returns how a release behaves; an orchestrator with that Open Terminal in its containers, or its usual one. */
export function behaviourOf(release: TestRelease, inner: TestInner | undefined = usualInners[release]): Behaviour {
  if (!Object.hasOwn(releases, release)) {
    throw wrongValue('release', `must be one of ${Object.keys(releases).join(', ')}`)
  }
  const behaviour = releases[release]
  if (inner === undefined) return behaviour
  if (!behaviour.orchestrator) throw wrongValue('inner', `must be left out: ${release} has no containers`)
  const inners = Object.keys(releases).filter((name) => !Object.hasOwn(usualInners, name))
  if (!inners.includes(inner)) throw wrongValue('inner', `must be one of ${inners.join(', ')}`)
  const { chatIsId, strictSessions, announcesEnd } = releases[inner]
  return { ...behaviour, chatIsId, strictSessions, announcesEnd }
}
