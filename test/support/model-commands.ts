import fc from 'fast-check'
import { checkLaws } from './model-laws.ts'
import * as creating from './model-creating.ts'
import * as steps from './model-steps.ts'
import { isReserved, leftIn, parkedOf, type ModelShell, type Place } from './model-shells.ts'
import { AUTHORIZE_FAULTS, UPSTREAM_FAULTS, type AuthorizeFault, type UpstreamFault } from './model-faults.ts'
import { USERS, type User, type World } from './model-world.ts'

type Command = fc.AsyncCommand<World, World>

/** Makes a step of random arguments. `find` returns what it works on, or `undefined` if it cannot be done now. */
function step<Args extends object, Found>(
  name: string,
  args: fc.Arbitrary<Args>,
  find: (world: World, args: Args) => Found | undefined,
  run: (world: World, found: Found, args: Args) => Promise<unknown> | void,
): fc.Arbitrary<Command> {
  return args.map((given) => {
    const text = `${name} ${JSON.stringify(given).replaceAll('"', '')}`
    return {
      check: (world) => find(world as World, given) !== undefined,
      async run(world) {
        const found = find(world, given)
        if (found === undefined) return
        await run(world, found, given)
        await checkLaws(world)
      },
      toString: () => text,
    }
  })
}

const user = fc.constantFrom(...USERS)
const number = fc.nat({ max: 5 })
const how = fc.constantFrom('reset' as const, 'close' as const)

interface Which {
  readonly user: number
  readonly which: number
}

/** Returns one of the user's sessions that is meant by a number. */
function pick(world: World, { user: owner, which }: Which, state?: ModelShell['state']): ModelShell | undefined {
  const shells = steps.sessionsOf(world, world.user(owner)).filter((shell) => !state || shell.state === state)
  return shells[which % Math.max(1, shells.length)]
}

/** Returns the place that is meant by a number: often the one where the user has left a session last. */
function placeOf(world: World, { index }: User, which: number): Place {
  const { shells, places } = world
  const left = which % 2 > 0 ? parkedOf(shells, index).at(-1) : undefined
  return left?.place ?? places[which % places.length] ?? {}
}

const anySession = (world: World, args: Which): ModelShell | undefined => pick(world, args)
const livingSession = (world: World, args: Which): ModelShell | undefined => pick(world, args, 'alive')
const anyone = (world: World, args: { user: number }): User => world.user(args.user)
const awake = (world: World, args: { user: number }) => {
  const { library } = world.user(args.user)
  return library && !library.isAsleep ? library : undefined
}
const ofUser = fc.record({ user })
const ofSession = fc.record({ user, which: number })

/** All steps, those that lead to others more often. */
export function allCommands(): Array<fc.Arbitrary<Command>> {
  const opening = step(
    'open',
    fc.record({ user, place: number, deletesOnClose: fc.boolean() }),
    (world, args) => {
      // A DELETE that is forbidden ends nothing.
      return world.user(args.user).library || steps.mayGiveUp(world, 1) ? undefined : anyone(world, args)
    },
    (world, found, { place, deletesOnClose }) =>
      creating.open(world, found, placeOf(world, found, place), deletesOnClose),
  )
  const posting = step('create', fc.record({ user, place: number }), anyone, (world, found, { place }) =>
    creating.create(world, found, placeOf(world, found, place)),
  )
  const attaching = step(
    'attach',
    fc.record({ user, which: number, offset: fc.constantFrom<steps.Offset>('none', 'null', 'right', 'wrong') }),
    anySession,
    (world, shell, args) => steps.attach(world, world.user(args.user), shell, args.offset),
  )
  const troublingUpstream = step(
    'trouble upstream',
    fc.record({
      kind: fc.constantFrom(...(Object.keys(UPSTREAM_FAULTS) as UpstreamFault[])),
      operation: fc.constantFrom('create', 'get', 'delete', 'attach', 'any'),
      skip: fc.nat({ max: 1 }),
      count: fc.integer({ min: 1, max: 4 }),
    }),
    () => true,
    (world, _, { kind, operation, skip, count }) => steps.troubleUpstream(world, kind, operation, skip, count),
  )
  const troublingAuthorize = step(
    'trouble authorize',
    fc.record({
      kind: fc.constantFrom(...(Object.keys(AUTHORIZE_FAULTS) as AuthorizeFault[])),
      skip: fc.nat({ max: 1 }),
      count: fc.integer({ min: 1, max: 3 }),
    }),
    () => true,
    (world, _, { kind, skip, count }) => steps.troubleAuthorize(world, kind, skip, count),
  )
  const cutting = step('cut library', fc.record({ user, how }), awake, (world, client, args) =>
    steps.cutLibrary(world, client, args.how),
  )
  const sleeping = step('fall asleep', ofUser, awake, steps.fallAsleep)
  const waking = step(
    'wake up',
    ofUser,
    (world, args) => {
      const { library } = world.user(args.user)
      return library?.isAsleep ? library : undefined
    },
    steps.wakeUp,
  )
  const typing = step(
    'type',
    fc.record({ user, plain: fc.boolean() }),
    (world, args) => (args.plain ? world.user(args.user).plain : awake(world, args)),
    (_, client) => steps.type(client),
  )
  const reloading = step(
    'reload',
    fc.record({ user, how: fc.oneof(how, fc.constant('leave' as const)) }),
    (world, args) => world.user(args.user).plain,
    (world, client, args) => creating.reload(world, client, args.how),
  )
  const leaving = step(
    'leave',
    fc.record({ user, how: fc.oneof(how, fc.constant('leave' as const)) }),
    (world, args) => world.user(args.user).plain,
    (world, client, args) => steps.leavePlain(world, client, args.how),
  )
  const often = [opening, posting, attaching, reloading, cutting, waking]
  const sometimes = [leaving, sleeping, troublingUpstream, troublingAuthorize, typing]
  return [
    ...[often, often, often, sometimes].flat(),
    step(
      'create and leave',
      fc.record({ user, place: number, during: fc.constantFrom('authorize' as const, 'create' as const) }),
      (world, { user: index, place, during }) => {
        const [found, where] = [world.user(index), placeOf(world, world.user(index), place)]
        // The upstream is not asked for a session that is there.
        const isAsked = during === 'authorize' || !world.resumes || leftIn(world.shells, index, where).length === 0
        return isAsked && creating.hasRoom(world, found, where) ? found : undefined
      },
      (world, found, { place, during }) => creating.createAndLeave(world, found, placeOf(world, found, place), during),
    ),
    step(
      'attach library',
      ofSession,
      (world, args) => (world.user(args.user).library ? undefined : pick(world, args)),
      (world, shell, args) => steps.attachLibrary(world, world.user(args.user), shell),
    ),
    step(
      'print',
      fc.record({ user, which: number, bytes: fc.integer({ min: 1, max: 6_000 }) }),
      livingSession,
      (_, { witness }, { bytes }) => witness.print(`${bytes}:${'.'.repeat(bytes)}\n`),
    ),
    step(
      'close library',
      ofUser,
      (world, args) => (!steps.mayGiveUp(world) ? awake(world, args) : undefined),
      steps.closeLibrary,
    ),
    step('delete', ofSession, anySession, (world, shell, args) => steps.remove(world, world.user(args.user), shell)),
    step(
      'exit',
      ofSession,
      // An orchestrator tells of it at the next message only.
      (world, args) => (world.isOrchestrated ? undefined : livingSession(world, args)),
      steps.exit,
    ),
    step(
      'intrude',
      fc.record({ user, of: user, which: number }),
      (world, args) => {
        if (args.user === args.of || Number(world.authorizeTrouble?.count) > 0) return undefined
        return pick(world, { user: args.of, which: args.which })
      },
      (world, shell, args) => steps.intrude(world, world.user(args.user), shell),
    ),
    step(
      'renew tokens',
      fc.record({ user, key: fc.boolean(), stale: fc.nat({ max: 1 }) }),
      ({ authorizeTrouble }) => (Number(authorizeTrouble?.count) > 0 ? undefined : true),
      (world, _, { user: index, ...what }) => steps.renew(world, world.user(index), what),
    ),
    step('fill', ofUser, anyone, (world, found) => world.fill(found)),
    step(
      'empty',
      fc.constant({}),
      ({ fillers }) => (fillers.size > 0 ? true : undefined),
      (world) => world.empty(),
    ),
    step(
      'trouble ends',
      fc.constant({}),
      (world) => (world.isInTrouble ? true : undefined),
      (world) => {
        world.upstreamTrouble = undefined
        world.authorizeTrouble = undefined
      },
    ),
    step('give up', fc.constant({}), ({ shells }) => (shells.some(isReserved) ? true : undefined), steps.giveUp),
    step('time passes', fc.constant({}), () => true, steps.pass),
  ]
}
