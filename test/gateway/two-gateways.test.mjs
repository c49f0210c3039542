// Two gateways, each in a process of its own, behind nginx, which sends each user to one of them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { outputWith, until, upstreamOf } from '../support/upstream.ts'
import { hasNginx, startBalancer } from './nginx.ts'

const USERS = Array.from({ length: 12 }, (_, number) => `user-${number}`)

/** Starts a gateway in a process of its own. */
async function startProcess(upstream) {
  const script = fileURLToPath(new URL('gateway-process.mjs', import.meta.url))
  const env = { ...process.env, UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-canary' }
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [port] = await once(createInterface({ input: child.stdout }), 'line')
  return { port: Number(port), child }
}

/** Resolves with the sessions of a user at one gateway. */
async function sessionsAt({ port }, user) {
  const headers = { Authorization: `Bearer ${user}` }
  const answer = await fetch(`http://127.0.0.1:${port}/api/terminals`, { headers })
  return answer.json()
}

/** Ends the process of a gateway, and resolves when it has ended. */
async function end({ child }) {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}

test.runIf(hasNginx())(
  'a user behind two gateways comes back to the same shell, and has a new one soon when that gateway ends',
  { timeout: 60_000 },
  async () => {
    // The certificate of the tests is self-signed.
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    onTestFinished(() => void delete process.env.NODE_TLS_REJECT_UNAUTHORIZED)
    const upstream = await upstreamOf({ release: 'open-terminal@0.14.5' })
    const gateways = [await startProcess(upstream), await startProcess(upstream)]
    const nginx = await startBalancer(gateways[0].port, gateways[1].port)
    onTestFinished(() => nginx.stop())
    const open = (user, options) =>
      connectTerminal({ base: nginx.url, authType: 'session', key: user, userId: user, settle: 50, ...options })

    // Each user types, reloads the page, and gets the same output from the same shell.
    const users = await Promise.all(
      USERS.map(async (name) => {
        const first = await open(name)
        await first.write(`${name} was here`)
        await outputWith(first, 'was here')
        const { sessionId } = first
        const terminal = await open(name, { sessionId, deleteOnClose: true })
        expect(await outputWith(terminal, 'was here')).toContain(`${name} was here`)
        expect(await first.closed).toMatchObject({ code: 4009 })
        const isFirst = (await sessionsAt(gateways[0], name)).length === 1
        expect(await sessionsAt(gateways[isFirst ? 1 : 0], name)).toEqual([])
        return { name, terminal, gateway: isFirst ? 0 : 1 }
      }),
    )
    expect(new Set(users.map(({ gateway }) => gateway))).toEqual(new Set([0, 1]))

    const [moved, stayed] = [0, 1].map((index) => users.filter(({ gateway }) => gateway === index))
    const statuses = []
    for (const { terminal } of stayed) terminal.onStatus((status) => statuses.push(status))
    const start = performance.now()
    const ended = end(gateways[0])
    const times = await Promise.all(
      moved.map(async (user) => {
        const close = await user.terminal.closed
        expect(close).toMatchObject({ code: 1012, reason: 'Service restart', cause: 'remote' })
        user.terminal = await open(user.name)
        await user.terminal.write('a new shell')
        await outputWith(user.terminal, 'a new shell')
        expect(await sessionsAt(gateways[1], user.name)).toHaveLength(1)
        return performance.now() - start
      }),
    )
    await ended
    console.log(`new shells after ${Math.round(Math.max(...times))} ms at most`)
    expect(Math.max(...times)).toBeLessThan(5_000)

    // The others have not noticed anything.
    for (const { terminal } of stayed) await terminal.write('still here')
    for (const { terminal } of stayed) await outputWith(terminal, 'still here')
    expect(statuses).toEqual([])

    await Promise.all(users.map(({ terminal }) => terminal.close()))
    await end(gateways[1])
    await until(() => upstream.sessions.length === 0)
  },
)
