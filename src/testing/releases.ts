/** The releases that a test upstream can be: each differs from the others in what it wants of a client. */
export type TestRelease =
  'terminals@0.0.2' | 'terminals@0.0.3' | 'terminals@0.2.2' | 'open-terminal@0.11' | 'open-terminal@0.14'

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
  /**
   * The Open Terminal inside is one that checks who owns a session, lets one client attach at a time, and takes input
   * whole; the ones before do none of it, and make the chat the id of the session.
   */
  readonly strictSessions: boolean
}

const terminals: Behaviour = {
  orchestrator: true,
  keyInHandshake: false,
  contexts: false,
  unknownSession: 'drop',
  strictSessions: false,
}
const openTerminal: Behaviour = { ...terminals, orchestrator: false }

/** @see https://github.com/open-webui/terminals and https://github.com/open-webui/open-terminal */
export const releases: Record<TestRelease, Behaviour> = {
  'terminals@0.0.2': { ...terminals, keyInHandshake: true },
  'terminals@0.0.3': terminals,
  'terminals@0.2.2': { ...terminals, contexts: true, unknownSession: 'redial' },
  'open-terminal@0.11': openTerminal,
  'open-terminal@0.14': { ...openTerminal, strictSessions: true },
}
