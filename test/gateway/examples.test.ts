import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { connectTerminal, TerminalError } from '../../src/index.ts'
import { startTestUpstream, type TestUpstream } from '../../src/testing.ts'

const examples = fileURLToPath(new URL('../examples/', import.meta.url))

interface Example {
  readonly upstream: TestUpstream
  readonly child: ChildProcess
  /** The URL that the example has printed. */
  readonly base: string
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
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

test.each(['gateway.mjs', 'gateway-express.mjs', 'gateway-fastify.mjs', 'gateway-hono.mjs'])(
  '%s gives a page a terminal, refuses a wrong token, and deletes its sessions on SIGTERM',
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

test.each(['gateway-express.mjs', 'gateway-fastify.mjs', 'gateway-hono.mjs'])(
  '%s leaves all other paths to the application',
  async (file) => {
    const { base } = await start(file)
    expect(await (await fetch(new URL('/', base))).text()).toBe('the application')
    expect((await fetch(new URL('/api/terminals', base))).status).toBe(404)
  },
)
