// Gateways in processes of their own, behind nginx with the lines of the gateway page.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { freePort, outputWith, until, upstreamOf } from '../support/upstream.ts'
import { hasNginx, startBalancer } from './nginx.ts'

// The certificate of the tests is self-signed.
beforeAll(() => {
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
  return () => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
})

const USERS = Array.from({ length: 12 }, (_, number) => `user-${number}`)

/** Starts an upstream, nginx, and the gateways a0 and b0. `start` starts another one. */
async function startAll() {
  const upstream = await upstreamOf({ release: 'terminals@0.2.2' })
  const ports = {}
  for (const name of ['a0', 'a1', 'b0', 'b1']) ports[name] = await freePort()
  const start = async (name) => {
    const script = fileURLToPath(new URL('gateway-process.mjs', import.meta.url))
    const env = { ...process.env, UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-canary', NAME: name, PORT: ports[name] }
    const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(createInterface({ input: child.stdout }), 'line')
    return { name, child, ended: once(child, 'exit') }
  }
  const nginx = await startBalancer(ports)
  onTestFinished(() => nginx.stop())
  return {
    upstream,
    start,
    gateways: [await start('a0'), await start('b0')],
    open: (user, options) =>
      connectTerminal({ base: nginx.url, authType: 'session', key: user, userId: user, settle: 50, ...options }),
  }
}

/** Returns a function that types a word of its own, and resolves when the shell has repeated it. */
function typist(terminal) {
  let words = 0
  return async () => {
    const word = `word-${(words += 1)}.`
    const echo = outputWith(terminal, word)
    await terminal.write(word)
    await echo
  }
}

const nameOf = ({ sessionId }) => sessionId.split('.')[0]

test.runIf(hasNginx())(
  'while 50 users type, both gateways are replaced: no shell is lost, and no user is told anything',
  { timeout: 120_000 },
  async () => {
    const { upstream, start, gateways, open } = await startAll()
    const users = await Promise.all(
      Array.from({ length: 50 }, async (_, number) => {
        const name = `user-${number}`
        const terminal = await open(name)
        return { name, terminal, type: typist(terminal), told: [] }
      }),
    )
    expect(new Set(users.map(({ terminal }) => nameOf(terminal)))).toEqual(new Set(['a0', 'b0']))
    for (const { terminal, told } of users) terminal.onStatus((status) => told.push(status))
    const stopping = new AbortController()
    let rounds = 0
    const typing = users.map(async ({ type }) => {
      for (; !stopping.signal.aborted; rounds += 1) await type()
    })
    const allHaveTyped = async () => {
      const enough = rounds + 5 * users.length
      await until(() => rounds >= enough)
    }

    const newcomers = []
    for (const [index, name] of ['a1', 'b1'].entries()) {
      await allHaveTyped()
      await start(name)
      gateways[index].child.kill('SIGUSR2')
      await allHaveTyped()
      const next = await Promise.all(USERS.map((user) => open(`${user}-${name}`)))
      expect(next.map(nameOf)).not.toContain(gateways[index].name)
      newcomers.push(...next)
    }
    stopping.abort()
    await Promise.all(typing)
    expect(users.flatMap(({ told }) => told)).toEqual([])

    // A page that is reloaded meanwhile finds its shell.
    const [{ name, terminal }] = users
    const { sessionId } = terminal
    const reloaded = await open(name, { sessionId, createIfGone: true })
    await typist(reloaded)()
    expect(reloaded.sessionId).toBe(sessionId)
    expect(upstream.sessions).toHaveLength(users.length + newcomers.length)

    // The old processes end with their last sessions, and not before.
    expect(gateways.map(({ child }) => child.exitCode)).toEqual([null, null])
    await Promise.all([reloaded, ...newcomers, ...users.map((user) => user.terminal)].map((each) => each.close()))
    expect(await Promise.all(gateways.map(({ ended }) => ended))).toEqual([
      [0, null],
      [0, null],
    ])
    // A page that slept all the time does not: another process says that its shell is gone.
    const late = await open(name, { sessionId, createIfGone: true })
    expect(['a1', 'b1']).toContain(nameOf(late))
    await late.close()
    await until(() => upstream.sessions.length === 0)
  },
)

test.runIf(hasNginx())(
  'a gateway that closes takes its shells along, and their users have new ones from the other',
  { timeout: 60_000 },
  async () => {
    const { upstream, gateways, open } = await startAll()
    const users = await Promise.all(USERS.map(async (name) => ({ name, terminal: await open(name) })))
    const [moved, stayed] = ['a0', 'b0'].map((name) => users.filter(({ terminal }) => nameOf(terminal) === name))
    const told = []
    for (const { terminal } of stayed) terminal.onStatus((status) => told.push(status))
    gateways[0].child.kill('SIGTERM')
    await Promise.all(
      moved.map(async ({ name, terminal }) => {
        expect(await terminal.closed).toMatchObject({ code: 1012, reason: 'Service restart', cause: 'remote' })
        const next = await open(name, { sessionId: terminal.sessionId, createIfGone: true })
        await typist(next)()
        expect(nameOf(next)).toBe('b0')
        await next.close()
      }),
    )
    for (const { terminal } of stayed) await typist(terminal)()
    expect(told).toEqual([])
    await Promise.all(stayed.map(({ terminal }) => terminal.close()))
    await until(() => upstream.sessions.length === 0)
  },
)
