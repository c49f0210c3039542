import { wrongValue } from '../lib/arguments.ts'

/**
 * The releases that a test upstream can behave like. Each treats its clients differently. Each release of Open Terminal
 * stands for all real releases up to the next in this list:
 * - `open-terminal@0.8.1`: ignores the chat (`X-Session-Id`);
 * - `open-terminal@0.11` (0.11.32 to 0.11.34): uses the chat as the id of the session, and cuts the logs of commands;
 * - `open-terminal@0.14` (0.12.4 to 0.14.1): checks who owns a session or a command, attaches one client at a time, and
 *   accepts input of any length whole;
 * - `open-terminal@0.14.2`: also closes the socket with 1000 when the shell ends for any reason, and is not stopped by
 *   the input of a command, or by many commands;
 * - `open-terminal@0.14.5`: also refuses a token that is not an ASCII string with 4001, instead of dropping the
 *   connection.
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
 * The same release of Terminals treats its clients differently in front of another Open Terminal. This type is for
 * tests of that difference.
 */
export type TestInner = Extract<TestRelease, `open-terminal@${string}`>

/** The differences between the releases, as data. */
export interface Behaviour {
  /** Runs one container per user: user ids are required, policies exist, and a session outlives its client. */
  readonly orchestrator: boolean
  /** Reads the key from `token` in the query, and checks it before it answers the handshake (PROTOCOL 3.3). */
  readonly keyInHandshake: boolean
  /** Supports contexts: `X-Terminal-Context-Id` and `context_id` (PROTOCOL 3.7). */
  readonly contexts: boolean
  /** What an orchestrator does when its container does not know the session (PROTOCOL 3.8). */
  readonly unknownSession: 'drop' | 'redial'
  /** Whether an orchestrator sends a request again when the answer of its container is lost (PROTOCOL 9.17). */
  readonly repeats: boolean
  /** Uses the chat as the id of its session (PROTOCOL 2.7). */
  readonly chatIsId: boolean
  /**
   * Checks who owns a session, attaches one client, takes all input, and tells the output of the user's shell
   * (PROTOCOL 2.8, 3.12, 5.5 and 2.17).
   */
  readonly strictSessions: boolean
  /** Closes the attached socket with 1000 when the shell ends (PROTOCOL 6.5). */
  readonly announcesEnd: boolean
  /** Kills the process group of a command, and limits its log (PROTOCOL 9.10 and 9.12). */
  readonly groupCommands: boolean
  /** Serves others while it waits for a command (PROTOCOL 9.11 to 9.14). */
  readonly asyncCommands: boolean
  /** The answer to an auth frame that raises an unexpected error: `'late'` closes as if the frame had come too late. */
  readonly malformedAuth: 'late' | 'drop' | 'refuse'
  /** The answer to a token that the server cannot compare, because it is not a string or not ASCII (PROTOCOL 3.5). */
  readonly unusableToken: 'late' | 'drop' | 'refuse'
}

const terminals: Behaviour = {
  orchestrator: true,
  keyInHandshake: false,
  contexts: false,
  unknownSession: 'drop',
  repeats: false,
  chatIsId: true,
  strictSessions: false,
  announcesEnd: false,
  groupCommands: true,
  asyncCommands: false,
  malformedAuth: 'late',
  unusableToken: 'drop',
}
const lenient: Behaviour = { ...terminals, orchestrator: false, unusableToken: 'late' }
const strict: Behaviour = {
  ...lenient,
  chatIsId: false,
  strictSessions: true,
  malformedAuth: 'drop',
  unusableToken: 'drop',
}
const newest: Behaviour = { ...strict, announcesEnd: true, asyncCommands: true }

/** @see https://github.com/open-webui/terminals and https://github.com/open-webui/open-terminal */
const releases: Record<TestRelease, Behaviour> = {
  'terminals@0.0.2': { ...terminals, keyInHandshake: true },
  'terminals@0.0.3': terminals,
  'terminals@0.2.2': { ...terminals, contexts: true, unknownSession: 'redial', repeats: true },
  'open-terminal@0.8.1': { ...lenient, chatIsId: false, groupCommands: false, unusableToken: 'refuse' },
  'open-terminal@0.11': lenient,
  'open-terminal@0.14': strict,
  'open-terminal@0.14.2': newest,
  'open-terminal@0.14.5': { ...newest, malformedAuth: 'refuse', unusableToken: 'refuse' },
}

const defaultInners: Partial<Record<TestRelease, TestInner>> = {
  'terminals@0.0.2': 'open-terminal@0.11',
  'terminals@0.0.3': 'open-terminal@0.11',
  'terminals@0.2.2': 'open-terminal@0.14.5',
}

/** Returns how a release behaves. An orchestrator has `inner`, or its default Open Terminal, in its containers. */
export function behaviourOf(release: TestRelease, inner: TestInner | undefined = defaultInners[release]): Behaviour {
  if (!Object.hasOwn(releases, release)) {
    throw wrongValue('release', `must be one of ${Object.keys(releases).join(', ')}`)
  }
  const behaviour = releases[release]
  if (inner === undefined) return behaviour
  if (!behaviour.orchestrator) throw wrongValue('inner', `must be left out: ${release} has no containers`)
  const inners = Object.keys(releases).filter((name) => !Object.hasOwn(defaultInners, name))
  if (!inners.includes(inner)) throw wrongValue('inner', `must be one of ${inners.join(', ')}`)
  // The inner server decides these. Add a new field here if the inner server decides it, too.
  const { chatIsId, strictSessions, announcesEnd, groupCommands, asyncCommands } = releases[inner]
  return { ...behaviour, chatIsId, strictSessions, announcesEnd, groupCommands, asyncCommands }
}
