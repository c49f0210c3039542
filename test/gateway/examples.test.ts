import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectTerminal, deleteTerminalSession, TerminalError } from '../../src/index.ts'
import { startTestUpstream, type TestUpstream } from '../../src/testing.ts'
import { clientTo } from '../support/proxy.ts'
import { freePort } from '../support/upstream.ts'

const examples = fileURLToPath(new URL('../examples/', import.meta.url))

interface Example {
  readonly upstream: TestUpstream
  readonly child: ChildProcessByStdio<null, Readable, null>
  /** The URL that the example has printed. */
  readonly base: string
}

/** Starts an example in front of an upstream with a real `sh`. Both end with the test. */
async function start(file: string): Promise<Example> {
  const upstream = await startTestUpstream({ key: 'sk-1', shell: 'sh' })
  onTestFinished(() => upstream.close())
  const env = { ...process.env, UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-1', PORT: String(await freePort()) }
  const child = spawn(process.execPath, [examples + file], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { upstream, child, base: String(line).trim() }
}

const IN_FRAMEWORKS = ['gateway-express.mjs', 'gateway-fastify.mjs', 'gateway-hono.mjs']

test.each(['gateway.mjs', ...IN_FRAMEWORKS])(
  '%s serves a page, refuses a wrong token, and ends at SIGTERM',
  async (file) => {
    const { upstream, child, base } = await start(file)
    const page = { base, authType: 'session', key: 'let-me-in', userId: 'ada' } as const
    const terminal = await connectTerminal(page)
    await terminal.write('echo "6 x 7 = $((6 * 7))"\n')
    let output = ''
    for await (const chunk of terminal) {
      output += Buffer.from(chunk).toString()
      if (output.includes('6 x 7 = 42')) break
    }
    const refusal = await connectTerminal({ ...page, key: 'let-me-out' }).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(TerminalError)
    expect(refusal).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })

    child.kill('SIGTERM')
    const [{ error }] = await Promise.all([terminal.closed, once(child, 'exit')])
    expect(error).toMatchObject({ closeCode: 1012 })
    expect(upstream.sessions).toEqual([])
  },
)

test.each(IN_FRAMEWORKS)('%s leaves all other paths to the application', async (file) => {
  const { base } = await start(file)
  expect(await (await fetch(new URL('/', base))).text()).toBe('the application')
  expect((await fetch(new URL('/api/terminals', base))).status).toBe(404)
})

test('proxy.mjs joins a page with a valid token to a shell, and closes any other page with 4001', async () => {
  const { upstream, child, base: url } = await start('proxy.mjs')
  const page = async (token: string): Promise<{ output: string; code: number; reason: string }> => {
    const { ws, bytes, closed } = await clientTo({ url })
    ws.send(JSON.stringify({ type: 'auth', token }))
    ws.send(Buffer.from('echo "6 x 7 = $((6 * 7))"; exit\n'))
    return { ...(await closed), output: bytes().toString() }
  }
  const line = once(child.stdout, 'data')
  expect(await page('let-me-in')).toEqual({ output: '$ 6 x 7 = 42\n', code: 1000, reason: '' })
  expect(String(await line)).toBe('127.0.0.1: ended by the upstream with 1000 \n')
  expect(await page('let-me-out')).toEqual({ output: '', code: 4001, reason: 'Log in again' })
  expect(upstream.sessions).toEqual([])
})

test('admin.mjs lists the shells, lets an admin look on and not type, shows the text, and ends one', async () => {
  const { upstream, base } = await start('admin.mjs')
  const page = { base, authType: 'session', key: 'let-me-in', userId: 'ada' } as const
  const terminal = await connectTerminal(page)
  const { sessionId } = terminal
  await terminal.write('echo "6 x 7 = $((6 * 7))"\n')
  const ask = async (
    path: string,
    method = 'GET',
    token = 'let-me-see',
  ): Promise<{ status: number; body: unknown }> => {
    const answer = await fetch(`${base}/admin${path}`, { method, headers: { Authorization: `Bearer ${token}` } })
    return { status: answer.status, body: await answer.json() }
  }
  expect(await ask('/shells', 'GET', 'let-me-in')).toMatchObject({ status: 401 })
  await expect.poll(async () => (await ask(`/text/${sessionId}`)).body).toContain('6 x 7 = 42')
  const watcher = await clientTo({ url: `${base.replace('http', 'ws')}/api/terminals/${sessionId}` })
  watcher.ws.send(JSON.stringify({ type: 'auth', token: 'let-me-see', offset: null, watch: true }))
  watcher.ws.send(Buffer.from('exit\n'))
  await watcher.printed('6 x 7 = 42')
  expect(await ask('/shells')).toMatchObject({ body: [{ id: sessionId, userId: 'ada', watchers: 1 }] })
  expect(await (await fetch(`${base}/admin-page.js`)).text()).toContain('Look on')
  const asAdmin = { ...page, key: 'let-me-see' }
  await expect(deleteTerminalSession({ ...asAdmin, sessionId })).rejects.toThrow(TerminalError)
  expect(await ask(`/shells/${sessionId}`, 'DELETE')).toMatchObject({ status: 200 })
  expect(await watcher.closed).toEqual({ code: 1000, reason: 'Ended by an admin' })
  expect((await terminal.closed).cause).toBe('exited')
  expect(upstream.sessions).toEqual([])
})

describe('run-tests.mjs', () => {
  /** Returns the path of a file that is not there, in a folder that goes with the test. */
  function newFile(): string {
    const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    return join(folder, 'file')
  }

  /** Runs it, and resolves when the command has printed `ready`. `end` resolves with the status and the errors. */
  async function run(command: string, ...args: string[]): Promise<{ child: ChildProcess; end: Promise<unknown[]> }> {
    const upstream = await startTestUpstream({ key: 'sk-1' })
    onTestFinished(() => upstream.close())
    const env = { ...process.env, UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-1' }
    const file = `${examples}run-tests.mjs`
    const child = spawn(process.execPath, [file, command, ...args], { env, stdio: 'pipe' })
    onTestFinished(() => void child.kill('SIGKILL'))
    const end = Promise.all([once(child, 'exit').then(([code]: unknown[]) => code), text(child.stderr)])
    expect(String((await once(child.stdout, 'data'))[0])).toBe('ready\n')
    return { child, end }
  }

  test('shows what the tests print while they run, and ends as they do', async () => {
    const file = newFile()
    const { end } = await run(`echo ready; until [ -e '${file}' ]; do sleep 0.1; done; echo "1 failed" >&2; exit 3`)
    writeFileSync(file, '')
    expect(await end).toEqual([3, '1 failed\n'])
  })

  test('ends tests that take too long', async () => {
    const { end } = await run('echo ready; exec sleep 600', '2')
    expect(await end).toEqual([124, 'The tests took more than 2 s\n'])
  })

  test('ends the tests on Ctrl-C, and goes when they have ended', async () => {
    const file = newFile()
    const { child, end } = await run(`trap "echo >'${file}'; exit" TERM; echo ready; while :; do sleep 1; done`)
    child.kill('SIGINT')
    expect(await end).toEqual([1, expect.stringContaining('You have ended the tests')])
    expect(existsSync(file)).toBe(true)
  })
})
