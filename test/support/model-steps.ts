import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../../src/lib/errors.ts'
import { eventually, LibraryClient, PlainClient, type Cut, type ModelClient } from './model-clients.ts'
import { REFUSALS, type AuthorizeFault, type UpstreamFault } from './model-faults.ts'
import { wasTold } from './model-laws.ts'
import { ATTACH_PATIENCE_MS, isReserved, RESERVED_MS, type ModelShell } from './model-shells.ts'
import type { User, World } from './model-world.ts'

// What the client of a deleted session, and one whose terminal was taken over, may be told: a close frame, or how
// `connectTerminal` explains it.
const DELETED = /^1000 (?:Session deleted|exited|remote)/
const EXITED = /^1000/
const TAKEN_OVER = /^4009 (?:Taken over|.*ERR_TERMINAL_IN_USE)/

let marks = 0

/** Types a mark. Resolves when the shell has printed it and the client has got it. */
export async function type(client: ModelClient): Promise<void> {
  const mark = `<${(marks += 1)}>\n`
  client.send(mark)
  await eventually(
    () => client.received.includes(mark),
    () => `a ${client.kind} client sees its mark ${mark.trim()}, it has ended with ${client.end}`,
  )
}

/** The sessions of a user that a step may name. */
export function sessionsOf(world: World, { index }: User): ModelShell[] {
  return world.shells.filter(({ user }) => user === index)
}

/** The shell has ended unseen, and a client has come: it gets the last output, and then the end. */
async function seesTheEnd(world: World, client: ModelClient): Promise<void> {
  await wasTold(world, client, EXITED, true)
  client.shell.state = 'ended'
}

export type Offset = 'none' | 'null' | 'right' | 'wrong'

function offsetFor({ witness }: ModelShell, offset: Offset): object {
  const { length } = witness.printed
  if (offset === 'none') return {}
  return { offset: offset === 'null' ? null : offset === 'right' ? Math.floor(length / 2) : length + 1_000 }
}

/** Attaches a plain client. */
export async function attach(world: World, user: User, shell: ModelShell, offset: Offset): Promise<void> {
  user.plain?.leave()
  if (user.plain) await leaves(world, user.plain)
  const { holder, state } = shell
  const trouble = world.nextAuthorize()
  const client = new PlainClient(world.base, shell)
  const mark = `<${(marks += 1)}>\n`
  await client.join({ token: user.tokenOf(), chat_id: shell.place.chatId, ...offsetFor(shell, offset) }, mark)
  if (trouble) {
    const [, code] = REFUSALS[trouble]
    if (!client.end?.startsWith(`${code}`))
      throw new Error(`a client that \`authorize\` ${trouble} was told ${client.end}`)
    return
  }
  if (state === 'ended') {
    if (!client.end?.startsWith('4004')) throw new Error(`a client of an ended session was told ${client.end}`)
    return
  }
  if (state === 'unseen') return seesTheEnd(world, client)
  if (client.end !== undefined) throw new Error(`the client of a living shell was told ${client.end}`)
  if (client.texts.length !== Number(offset !== 'none'))
    throw new Error(`a client got ${client.texts.length} text frames`)
  user.plain = client
  world.join(client)
  if (holder) await wasTold(world, holder, TAKEN_OVER)
}

/** Attaches `connectTerminal` to a session that another client of the user has made or used. */
export async function attachLibrary(world: World, user: User, shell: ModelShell): Promise<void> {
  const { holder } = shell
  const isInTrouble = world.isInTrouble
  const client = new LibraryClient(false)
  client.shell = shell
  const options = { base: world.base, sessionId: shell.id, chatId: shell.place.chatId }
  const error: unknown = await client
    .open(options, (isStale) => user.tokenOf(isStale))
    .then(
      () => undefined,
      (problem: unknown) => problem,
    )
  if (error !== undefined) {
    const isGone = shell.state === 'ended' && hasCode(error, 'ERR_TERMINAL_NOT_FOUND')
    if (!isInTrouble && !isGone) throw new Error(`${user.name} could not attach`, { cause: error })
    return
  }
  user.library = client
  if (shell.state === 'unseen') return seesTheEnd(world, client)
  world.join(client)
  if (holder) await wasTold(world, holder, TAKEN_OVER)
  await type(client)
}

/** A plain client has left, however that happened. */
async function leaves(world: World, client: PlainClient): Promise<void> {
  await eventually(
    () => client.end !== undefined,
    () => 'a client leaves',
  )
  const user = world.user(client.shell.user)
  if (user.plain === client) user.plain = undefined
  if (client.shell.holder !== client) return
  await world.parked(client.shell)
  world.part(client)
}

export async function leavePlain(world: World, client: PlainClient, how: Cut | 'leave'): Promise<void> {
  if (how === 'leave') client.leave()
  else client.cut(how)
  await leaves(world, client)
}

/** `close()` deletes the session if the client was made so, and otherwise leaves it to the next client. */
export async function closeLibrary(world: World, client: LibraryClient): Promise<void> {
  const { shell } = client
  const { isInTrouble } = world
  await client.terminal.close()
  world.user(shell.user).library = undefined
  if (client.deletesOnClose) {
    shell.state = 'ended'
    shell.isBeingDeleted = isInTrouble
    shell.holder = undefined
    // The DELETE may have been refused, and is then tried again.
    await eventually(
      () => shell.witness.hasEnded,
      () => 'the shell of a closed terminal ends',
    )
  } else {
    await world.parked(shell)
    world.part(client)
  }
}

/** Whether `authorize` may end a client after so many calls: it refuses once more after a fresh token, or forbids. */
export function mayGiveUp(world: World, calls = 0, staleTokens = 0): boolean {
  const { kind, count = 0 } = world.authorizeTrouble ?? {}
  // A stale token is refused, too, and may use up what comes before the trouble.
  const refusals = count > 0 ? count + staleTokens : 0
  return (kind === 'refuses' && refusals > calls + 1) || (kind === 'forbids' && count > calls)
}

/** The client comes back by itself. If it is refused, the shell lives on for the next one. */
async function comesBack(world: World, client: LibraryClient, dials: number, mayEnd: boolean): Promise<void> {
  const { shell } = client
  await eventually(
    () => client.end !== undefined || (client.terminal.status === 'open' && client.dials > dials),
    () => `a client comes back, it is ${client.terminal.status} after ${client.dials - dials} dials`,
  )
  if (client.end === undefined) {
    world.join(client, true)
    return type(client)
  }
  if (!mayEnd) throw new Error(`a client that should come back has ended with ${client.end}`)
  world.user(shell.user).library = undefined
  await world.parked(shell)
  world.part(client)
}

export async function cutLibrary(world: World, client: LibraryClient, how: Cut): Promise<void> {
  const { dials } = client
  const mayEnd = mayGiveUp(world, 0, client.staleTokens)
  client.cut(how)
  await comesBack(world, client, dials, mayEnd)
}

export async function fallAsleep(world: World, client: LibraryClient): Promise<void> {
  client.sleep()
  await eventually(
    () => client.terminal.status === 'reconnecting',
    () => 'a sleeping client is cut off',
  )
  await world.parked(client.shell)
  world.part(client)
}

export async function wakeUp(world: World, client: LibraryClient): Promise<void> {
  const { shell, dials } = client
  const mayEnd = mayGiveUp(world, 0, client.staleTokens)
  client.wake()
  const isNewest = client.generation === shell.generation
  if (shell.state === 'alive' && isNewest) return comesBack(world, client, dials, mayEnd)
  if (mayEnd) return wasTold(world, client, /./)
  // Its user has gone on with another client, which has left since. That one sees the end of a shell that has ended.
  if (shell.state !== 'ended' && !isNewest) return wasTold(world, client, /ERR_TERMINAL_IN_USE/)
  if (shell.state === 'unseen') return seesTheEnd(world, client)
  await wasTold(world, client, /ERR_TERMINAL_NOT_FOUND|exited/)
}

/** The owner deletes a session. */
export async function remove(world: World, user: User, shell: ModelShell): Promise<void> {
  const trouble = world.nextAuthorize()
  const { isInTrouble } = world
  const { status } = await world.ask(user, 'DELETE', shell)
  if (trouble) {
    if (status !== REFUSALS[trouble][0]) throw new Error(`a request that \`authorize\` ${trouble} got ${status}`)
    return
  }
  if (isReserved(shell)) {
    // Whoever has got it in the answer to a POST does not own it: it goes on.
    if (status !== 200) throw new Error(`DELETE of a reserved session was answered with ${status}`)
    shell.reservedUntil = 0
    return
  }
  if (shell.state === 'alive' && performance.now() - shell.supersededAt < RESERVED_MS) {
    // It may be meant for what another client has got by now.
    if (status !== 409) throw new Error(`a late DELETE was answered with ${status}`)
    return
  }
  // An upstream that refuses is asked again in the background. The client may be told that it is not certain yet.
  const mayBeLate = isInTrouble && (shell.state === 'alive' || shell.isBeingDeleted) && status >= 500
  // The gateway may not have noticed yet that the shell has ended.
  const allowed = { alive: [200], unseen: [200, 404], ended: shell.isBeingDeleted ? [200, 404] : [404] }[shell.state]
  if (!mayBeLate && !allowed.includes(status)) throw new Error(`DELETE was answered with ${status}`)
  shell.isBeingDeleted = mayBeLate
  shell.state = 'ended'
  if (shell.holder) await wasTold(world, shell.holder, DELETED)
}

/** The shell ends by itself. */
export async function exit(world: World, shell: ModelShell): Promise<void> {
  const { isInTrouble } = world
  // Of two shells that have ended unseen, the one that the gateway has noticed first makes room first.
  await world.noticed()
  const path = world.pathOf(shell)
  shell.witness.exit()
  const { holder } = shell
  shell.state = holder ? 'ended' : 'unseen'
  if (shell.leftAt === undefined) shell.leftAt = world.tick()
  // A gateway that cannot ask the upstream whether the shell has ended cannot tell its client for sure.
  if (holder) return wasTold(world, holder, isInTrouble ? /./ : EXITED, true)
  if (!isInTrouble) return
  await world.noticed()
  // A connection has ended, and the upstream has not said why: the session is forgotten.
  const isKnown = world.upstream.requests.some(
    (each) => each.method === 'GET' && each.path === path && each.status === 404,
  )
  if (!isKnown) shell.state = 'ended'
}

/** A user tries the session of another. */
export async function intrude(world: World, user: User, shell: ModelShell): Promise<void> {
  for (const method of ['GET', 'DELETE']) {
    const { status } = await world.ask(user, method, shell)
    if (status !== 404) throw new Error(`${method} of another user's session was answered with ${status}`)
  }
  const client = new PlainClient(world.base, shell)
  await client.join({ token: user.tokenOf(), chat_id: shell.place.chatId, offset: 0 }, 'intruder')
  if (!client.end?.startsWith('4004') || client.received.length > 0) {
    throw new Error(`a client of another user's session was told ${client.end}`)
  }
  const { body } = await world.ask(user, 'GET')
  const foreign = (body as Array<{ id: string }>).find(({ id }) =>
    world.shells.some((each) => each.id === id && each.user !== user.index),
  )
  if (foreign) throw new Error(`${user.name} is told of another user's session`)
}

/** The tokens of a user are renewed. The gateway learns the new key with the next request. */
export async function renew(world: World, user: User, what: { key: boolean; stale: number }): Promise<void> {
  // What the upstream refuses to a look-up with the key before, nobody can be told.
  await world.noticed()
  user.token += 1
  if (what.key) {
    user.key += 1
    user.wasRefused = false
    user.underWay.clear()
  }
  if (user.library) user.library.staleTokens = what.stale
  await world.ask(user, 'GET')
}

export async function troubleUpstream(
  world: World,
  kind: UpstreamFault,
  operation: 'create' | 'get' | 'delete' | 'attach' | 'any',
  skip: number,
  count: number,
): Promise<void> {
  await world.noticed()
  world.upstreamTrouble = { kind, operation, skip, count }
}

export function troubleAuthorize(world: World, kind: AuthorizeFault, skip: number, count: number): void {
  world.authorizeTrouble = { kind, operation: 'any', skip, count }
}

/** The clients do not come that sessions are reserved for. */
export function giveUp(world: World): void {
  world.skip(ATTACH_PATIENCE_MS)
}

/** Time passes, so that what goes on in the background can go on. */
export function pass(): Promise<void> {
  return sleep(10)
}
