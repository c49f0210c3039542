import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually, LibraryClient, type Cut, type PlainClient } from './model-clients.ts'
import { REFUSALS } from './model-faults.ts'
import {
  isReserved,
  LIMIT,
  mayMakeRoom,
  parkedOf,
  patience,
  RESERVED_MS,
  type ModelShell,
  type Place,
} from './model-shells.ts'
import { attach, giveUp, leavePlain, remove, type } from './model-steps.ts'
import type { User, World } from './model-world.ts'

// A request does not take longer.
const MARGIN_MS = 500

interface Created {
  readonly id: string
  readonly resumed?: boolean
}

/** Runs something that makes a session of a user, and checks whose session it ends to make room. */
async function makeSession(
  world: World,
  user: User,
  place: Place,
  make: () => Promise<string | undefined>,
): Promise<ModelShell | undefined> {
  await world.noticed()
  const living = world.shells.filter(({ state }) => state === 'alive')
  const isAtLimit = world.countOf(user) >= LIMIT
  const [leftFirst] = parkedOf(world.shells, user.index)
  const isQuiet = !world.isInTrouble && !world.isFull(user, place)
  const room = mayMakeRoom(world.shells, user.index, world.livingCounts())
  const { fullAnswers, created } = world
  const createdAt = performance.now()
  const id = await make()
  const forRoom = world.fullAnswers > fullAnswers ? room : []
  if (isQuiet && (!isAtLimit || leftFirst) && id === undefined) throw new Error(`${user.name} got no session`)
  // A session that was made counts, also if its user could not attach to it then. One that has made room does not.
  const isOver = isAtLimit && !forRoom.some((shell) => shell.user === user.index && shell.witness.hasEnded)
  const forLimit = world.created > created && isOver && leftFirst ? [leftFirst] : []
  if (forLimit[0]) {
    const [victim] = forLimit
    victim.state = 'ended'
    await eventually(
      () => !world.gateway.sessions.some((session) => session.id === victim.id),
      () => 'the session that was left first ends when its user has too many',
    )
  }
  const ended = living.filter(({ witness }) => witness.hasEnded)
  const wrong = ended.find((shell) => !forRoom.includes(shell) && !forLimit.includes(shell))
  if (wrong) {
    const outcome = id === undefined ? 'got no session' : 'did not need its place'
    throw new Error(`a shell of user${wrong.user} was ended when ${user.name} came, who ${outcome}`)
  }
  if (ended.length > 1) throw new Error(`${ended.length} shells were ended for one session`)
  for (const shell of ended) shell.state = 'ended'
  if (id === undefined) return undefined
  const witness = world.lastAttached
  if (!witness || world.shells.some((each) => each.witness === witness))
    throw new Error('a session was made without a shell of its own')
  // If a POST is cut, nobody can tell its session from another one of the same user and second.
  world.fillers.delete(witness)
  const shell: ModelShell = {
    id,
    user: user.index,
    place,
    witness,
    state: 'alive',
    isBeingDeleted: false,
    holder: undefined,
    leftAt: undefined,
    reservedUntil: 0,
    supersededAt: -Infinity,
    createdAt,
    generation: 0,
  }
  world.shells.push(shell)
  return shell
}

export async function create(world: World, user: User, place: Place): Promise<ModelShell | undefined> {
  const trouble = world.nextAuthorize()
  // Not in the moment in which nobody can tell who gets it.
  for (const shell of world.shells) if (patience(shell) < MARGIN_MS) await sleep(patience(shell))
  const parked = world.nextResumed(user, place)
  if (parked && !trouble) return resume(world, user, parked)
  return makeSession(world, user, place, async () => {
    const { status, body } = await world.ask(user, 'POST', { place })
    if (trouble && status !== REFUSALS[trouble][0])
      throw new Error(`a POST that \`authorize\` ${trouble} got ${status}`)
    if (status !== 200) return undefined
    const { id, resumed } = body as Created
    if (resumed !== undefined) throw new Error(`${user.name} got the session ${id}, which it has not left there`)
    return id
  })
}

/** A client that cannot name a session gets the one that its user was the last to leave there. */
async function resume(world: World, user: User, shell: ModelShell): Promise<ModelShell> {
  const { status, body } = await world.ask(user, 'POST', { place: shell.place })
  const { id, resumed } = body as Created
  if (status !== 200 || id !== shell.id || resumed !== true)
    throw new Error(`${user.name} should get ${shell.id}, and got ${status} ${JSON.stringify(body)}`)
  const now = performance.now()
  if (isReserved(shell)) shell.supersededAt = now
  shell.reservedUntil = now + RESERVED_MS
  // It has told its client of no new session.
  world.created -= 1
  return shell
}

/** Leaves, and comes back as Open WebUI does, which names no session. */
export async function reload(world: World, client: PlainClient, how: Cut | 'leave'): Promise<void> {
  const { shell } = client
  const user = world.user(shell.user)
  await leavePlain(world, client, how)
  const next = await create(world, user, shell.place)
  if (next) await attach(world, user, next, 'none')
}

/** Whether a session can be created without another one ending. */
export function hasRoom(world: World, user: User, place: Place): boolean {
  return world.countOf(user) < LIMIT && !world.isFull(user, place) && !world.isInTrouble
}

/** All plain clients leave, and then each user asks for a session everywhere, fails to attach, and asks again. */
export async function askEverywhere(world: World): Promise<void> {
  world.upstreamTrouble = undefined
  world.authorizeTrouble = undefined
  for (const { plain } of world.users) if (plain) await leavePlain(world, plain, 'leave')
  const askAll = async (): Promise<void> => {
    for (const user of world.users) for (const place of world.places) await create(world, user, place)
  }
  await askAll()
  giveUp(world)
  await askAll()
  for (const shell of world.shells.filter(isReserved)) {
    // By the client that has got it last, and then by one before.
    await remove(world, world.user(shell.user), shell)
    if (shell.supersededAt > 0) await remove(world, world.user(shell.user), shell)
  }
}

/** Creates a session, and leaves while `authorize` or the upstream works. */
export async function createAndLeave(
  world: World,
  user: User,
  place: Place,
  during: 'authorize' | 'create',
): Promise<void> {
  const leaving = new AbortController()
  const { requests } = world.upstream
  const before = requests.length
  let hasLeft: Promise<unknown> | undefined
  const leave = (): Promise<unknown> => {
    leaving.abort()
    return (hasLeft = once(world.lastResponse as ServerResponse, 'close'))
  }
  world.abandon = { during, leave }
  const left = await makeSession(world, user, place, async () => {
    const { body } = await world.ask(user, 'POST', { place, signal: leaving.signal })
    return (body as { id: string }).id
  }).catch((error: unknown) => error)
  world.abandon = undefined
  // What the client does not wait for must not meet the next step.
  await hasLeft
  await eventually(
    () => requests.slice(before).every(({ method, status }) => method !== 'POST' || status) && !world.orphans.length,
    () => 'the session of a client that has left ends',
  )
  if (!(left instanceof Error) || left.name !== 'AbortError')
    throw new Error('a client that has left got an answer', { cause: left })
}

export async function open(world: World, user: User, place: Place, deletesOnClose: boolean): Promise<void> {
  const client = new LibraryClient(deletesOnClose)
  const shell = await makeSession(world, user, place, async () => {
    const options = { base: world.base, ...place, size: { cols: 90, rows: 20 } }
    return client
      .open(options, (isStale) => user.tokenOf(isStale))
      .then(
        () => client.terminal.sessionId,
        () => undefined,
      )
  })
  if (!shell) return
  client.shell = shell
  user.library = client
  world.join(client)
  await type(client)
}
