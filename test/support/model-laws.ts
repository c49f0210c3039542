import { eventually, type ModelClient } from './model-clients.ts'
import { isReserved, UNATTACHED_LIMIT_MS, type ModelShell } from './model-shells.ts'
import type { World } from './model-world.ts'

function name({ user, id }: ModelShell): string {
  return `shell ${id.slice(0, 4)} of user${user}`
}

function expectLaw(isKept: boolean, law: string): void {
  if (!isKept) throw new Error(law)
}

/** What a client has got is what the shell has printed, from the client's offset on. */
function readsTheWitness({ kind, shell, from, received }: ModelClient): void {
  const printed = shell.witness.printed.subarray(from, from + received.length)
  const [got, wanted] = [received, printed].map((bytes) => JSON.stringify(String(bytes).slice(-200)))
  expectLaw(received.equals(printed), `a ${kind} client of ${name(shell)} got ${got}, printed was ${wanted}`)
}

/** A client that is joined has got everything that the shell has printed. */
async function hasGotAll(client: ModelClient): Promise<void> {
  const { shell, kind, from } = client
  await eventually(
    () => client.received.length >= shell.witness.printed.length - from,
    () => `a ${kind} client gets all output of ${name(shell)}, ended: ${client.end}`,
  )
  readsTheWitness(client)
}

/** Checks what has to be true after each step. */
export async function checkLaws(world: World): Promise<void> {
  const [broken] = world.takeBroken()
  expectLaw(broken === undefined, String(broken))
  for (const shell of world.shells) {
    const { witness, holder, id } = shell
    // On a slow machine a run may last so long.
    const isTooOld = shell.leftAt === undefined && performance.now() - shell.createdAt >= UNATTACHED_LIMIT_MS
    if (shell.state === 'alive' && isTooOld && witness.hasEnded) shell.state = 'ended'
    const { state } = shell
    if (state === 'alive') {
      expectLaw(!witness.hasEnded, `${name(shell)} has ended, and nobody has said so`)
      const session = world.gateway.sessions.find((each) => each.id === id)
      expectLaw(session !== undefined, `${name(shell)} is lost: it lives, and the gateway has no session for it`)
      expectLaw(
        !holder || session?.attachedSince !== undefined,
        `${name(shell)} is parked, although its ${holder?.kind} client has not left`,
      )
    } else {
      await eventually(
        () => witness.hasEnded,
        () => `${name(shell)} ends`,
      )
    }
    if (state === 'ended') {
      await eventually(
        () => !world.gateway.sessions.some((each) => each.id === id),
        () => `${name(shell)} has no session any more`,
      )
    }
    if (!holder) continue
    expectLaw(holder.end === undefined, `the ${holder.kind} client of ${name(shell)} was ended with ${holder.end}`)
    await hasGotAll(holder)
  }
  for (const { library, plain } of world.users) {
    for (const client of [library, plain]) if (client) readsTheWitness(client)
  }
}

/** A client that was joined has ended in one of these ways, and has got all output if the shell has ended by itself. */
export async function wasTold(world: World, client: ModelClient, how: RegExp, gotAll = false): Promise<void> {
  if (gotAll) await hasGotAll(client)
  await eventually(
    () => client.end !== undefined,
    () => `a ${client.kind} client of ${name(client.shell)} is told ${how}`,
  )
  expectLaw(how.test(String(client.end)), `a ${client.kind} client of ${name(client.shell)} was told ${client.end}`)
  readsTheWitness(client)
  world.part(client)
  const user = world.user(client.shell.user)
  if (user.plain === client) user.plain = undefined
  if (user.library === client) user.library = undefined
}

/** Closes the gateway, and checks that nothing is left. */
export async function closeAll(world: World): Promise<void> {
  world.upstreamTrouble = undefined
  world.authorizeTrouble = undefined
  for (const shell of world.shells) {
    // The DELETE of a closed terminal would only give it back.
    if (isReserved(shell)) await world.ask(world.user(shell.user), 'DELETE', shell)
    shell.reservedUntil = 0
  }
  for (const user of world.users) {
    const { library } = user
    // So that the gateway knows the newest key.
    await world.ask(user, 'GET')
    // Its DELETE would be tried again and again while the gateway is closed.
    if (!library || !(library.isAsleep || library.deletesOnClose)) continue
    const isNewest = library.generation === library.shell.generation
    library.wake()
    await library.terminal.close()
    user.library = undefined
    // A client that another one has taken over from ends nothing.
    if (!library.deletesOnClose || !isNewest) continue
    library.shell.state = 'ended'
    library.shell.holder = undefined
  }
  const known = new Set(world.shells.map(({ id }) => id))
  await eventually(
    () => world.orphans.length === 0 && world.gateway.sessions.every(({ id }) => known.has(id)),
    () => `${world.orphans.length} shells end that nobody knows`,
  )
  await checkLaws(world)
  const holders = world.shells.flatMap(({ holder }) => holder ?? [])
  await world.gateway.close({ timeout: 100 })
  for (const client of holders) await wasTold(world, client, /^1012 (Service restart|remote)/)
  for (const shell of world.shells) shell.state = 'ended'
  await checkLaws(world)
  expectLaw(world.gateway.sessions.length === 0, 'the closed gateway has sessions')
  await eventually(
    () => world.openSockets === 0,
    () => 'all sockets of the gateway are closed',
  )
}
