import { isDeepStrictEqual } from 'node:util'
import type { UpstreamOptions } from '../../src/index.ts'
import type { TestShell } from '../../src/testing.ts'
import type { ModelClient } from './model-clients.ts'

/** A shell of the upstream, which knows what it has printed: the witness. */
export class Witness {
  printed = Buffer.alloc(0)
  /** Whether it has ended, by itself or because the upstream has ended it. */
  hasEnded = false
  readonly #output: (data: Uint8Array) => Promise<void>
  readonly #exit: () => void

  constructor(output: (data: Uint8Array) => Promise<void>, exit: () => void) {
    this.#output = output
    this.#exit = exit
    this.print('$ ')
  }

  print(data: string | Uint8Array): void {
    const bytes = Buffer.from(data)
    this.printed = Buffer.concat([this.printed, bytes])
    void this.#output(bytes)
  }

  exit(): void {
    this.print('logout\n')
    this.hasEnded = true
    this.#exit()
  }
}

/**
 * Returns the shell of an upstream that adds a witness to a list for each session. It echoes, so that a mark can be
 * seen.
 */
export function witnessedBy(witnesses: Witness[]): TestShell {
  return ({ output, exit }) => {
    const witness = new Witness(output, exit)
    witnesses.push(witness)
    return {
      input: (data) => witness.print(data),
      kill: () => void (witness.hasEnded = true),
    }
  }
}

/** Where a session is: what its client has said of it, which `authorize` has returned. */
export type Place = Pick<UpstreamOptions, 'chatId' | 'policyId' | 'contextId'>

/** The places of an Open Terminal, which ignores contexts. */
export const PLACES: readonly Place[] = [
  {},
  { chatId: 'chat-1' },
  { chatId: 'chat-2' },
  { chatId: 'chat-1', contextId: 'chat:chat-1' },
]

/** The places of an orchestrator, which refuses a session with a chat when a client attaches (PROTOCOL 3.11). */
export const ORCHESTRATED_PLACES: readonly Place[] = [
  {},
  { policyId: 'python' },
  { contextId: 'chat:chat-1' },
  { policyId: 'python', contextId: 'chat:chat-2' },
]

/** A session of the gateway, as the model has it. */
export interface ModelShell {
  readonly id: string
  readonly user: number
  readonly place: Place
  readonly witness: Witness
  /**
   * - `alive`;
   * - `unseen`: it has ended by itself while nobody was attached, and nobody has been told yet;
   * - `ended`.
   */
  state: 'alive' | 'unseen' | 'ended'
  /** Whether its owner has deleted it, and was told that it is not certain yet that it is gone. */
  isBeingDeleted: boolean
  /** The client that is joined to it. */
  holder: ModelClient | undefined
  /** When its last client left, by a counter; `undefined` before that. */
  leftAt: number | undefined
  /** Until when it is kept for a client that got it in the answer to its POST, as `performance.now()`; 0 for none. */
  reservedUntil: number
  /** When another client has got it instead of the one that it was kept for, as `performance.now()`. */
  supersededAt: number
  /** When it was made, as `performance.now()`, or a little earlier. */
  readonly createdAt: number
  /** Counts the attaches that hand back no generation. */
  generation: number
}

/** How long a session waits for its first client. */
export const UNATTACHED_LIMIT_MS = 30_000

/** How long a session is kept for a client that got it in the answer to its POST. */
export const RESERVED_MS = 30_000

/** After so long without that client, another one gets it. */
export const ATTACH_PATIENCE_MS = 2_000

/** How many sessions a user may have at the gateway. */
export const LIMIT = 3

/** Whether a session was given to a client that has not come yet. One that is forgotten is not. */
export function isReserved({ reservedUntil, state }: ModelShell): boolean {
  return state !== 'ended' && performance.now() < reservedUntil
}

/** How long it takes until another client gets a session; 0 if it is not reserved. */
export function patience(shell: ModelShell): number {
  const age = performance.now() - (shell.reservedUntil - RESERVED_MS)
  return isReserved(shell) ? Math.max(0, ATTACH_PATIENCE_MS - age) : 0
}

/** The sessions of a user in a place that live and have no client, in the order in which they were left. */
export function leftIn(shells: readonly ModelShell[], user: number, place: Place): ModelShell[] {
  return shells
    .filter((shell) => shell.user === user && shell.state === 'alive' && isDeepStrictEqual(shell.place, place))
    .filter(({ holder, leftAt }) => !holder && leftAt !== undefined)
    .sort((one, other) => Number(one.leftAt) - Number(other.leftAt))
}

/**
 * The session that a POST of a user gets instead of a new one, from a gateway with `resumeOnCreate`: of those of the
 * same place, the last that was left. One that is reserved is given to nobody else, unless its client does not come.
 */
export function resumable(shells: readonly ModelShell[], user: number, place: Place): ModelShell | undefined {
  return leftIn(shells, user, place)
    .filter((shell) => patience(shell) === 0)
    .at(-1)
}

/**
 * The sessions of a user that nobody is attached to, and that are not reserved: those that have ended first, and then
 * those that were left first.
 */
export function parkedOf(shells: readonly ModelShell[], user: number): ModelShell[] {
  return shells
    .filter((shell) => shell.user === user && shell.state !== 'ended' && !shell.holder && shell.leftAt !== undefined)
    .filter((shell) => !isReserved(shell))
    .sort(
      (one, other) =>
        Number(other.state === 'unseen') - Number(one.state === 'unseen') || Number(one.leftAt) - Number(other.leftAt),
    )
}

/**
 * The sessions of which one may be ended because the upstream says that it has no place for a session of the user: the
 * user's own that was left first, or else that of the user with the most, if that one has at least one more than the
 * user would have. A shell that has ended has no place.
 *
 * @param counts How many places of the upstream each user has.
 */
export function mayMakeRoom(shells: readonly ModelShell[], user: number, counts: readonly number[]): ModelShell[] {
  const living = shells.filter(({ state }) => state === 'alive')
  const [own] = parkedOf(living, user)
  if (own) return [own]
  const most = Math.max(...counts.filter((_, other) => parkedOf(living, other).length > 0))
  if (most < Number(counts[user]) + 2) return []
  return counts.flatMap((count, other) => (count === most ? parkedOf(living, other).slice(0, 1) : []))
}
