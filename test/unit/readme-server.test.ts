import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { allBlocks } from '../support/pages.ts'
import { afterwards, rejection, until, upstreamOf } from '../support/upstream.ts'

const server = allBlocks.find(({ mark }) => mark === 'file: test/examples/gateway.mjs')?.code ?? ''

/**
 * Runs the complete server of the gateway page, changed by `change`, in a process. Returns its URL and what it writes
 * on stderr.
 */
async function run(change: (code: string) => string, upstream: string, key: string): Promise<[string, () => string]> {
  const folder = await mkdtemp(join(tmpdir(), 'readme-'))
  const src = (name: string): string => new URL(`../../src/${name}`, import.meta.url).pathname
  const { outputFiles } = await build({
    // Any free port, which it then prints.
    stdin: { contents: change(server).replace('${PORT}`', '${server.address().port}`'), resolveDir: process.cwd() },
    alias: {
      'terminal-upstream': src('index.ts'),
      'terminal-upstream/gateway': src('gateway.ts'),
      '#http': src('upstream/http-node.ts'),
      '#advice': src('upstream/advice-for-servers.ts'),
    },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
  })
  await writeFile(join(folder, 'gateway.cjs'), String(outputFiles[0]?.text))
  const env = { ...process.env, UPSTREAM: upstream, UPSTREAM_KEY: key, PORT: '0' }
  const child = spawn(process.execPath, [join(folder, 'gateway.cjs')], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  afterwards({
    async close() {
      child.kill('SIGKILL')
      await rm(folder, { recursive: true, force: true })
    },
  })
  let errors = ''
  child.stderr.on('data', (text: Buffer) => (errors += String(text)))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return [String(line).trim(), () => errors]
}

it.each<[string, (code: string) => string, string, RegExp]>([
  [
    'its own key is wrong',
    (code) => code,
    'wrong-canary',
    /\[ERR_TERMINAL_UNAUTHORIZED\] TerminalGatewayWarning: An upstream does not let .* at http:\/\/127\.0\.0\.1:\d+\/api\/terminals: HTTP 401, "Invalid API key"\. .*`key`/,
  ],
  [
    'a `userId` is a number',
    (code) => code.replace("['let-me-in', 'ada']", "['let-me-in', 42]"),
    'sk-canary',
    /\[TERMINAL_GATEWAY_RETURNED\] TerminalGatewayWarning: `authorize` .*: `userId` must be a string, got number\. Return /,
  ],
])(
  'the complete server of the gateway page says on stderr that %s',
  async (_, change, key, warning) => {
    expect(change(server) === server).toBe(key !== 'sk-canary')
    const upstream = await upstreamOf()
    const [base, errors] = await run(change, upstream.url, key)
    const page = { base, authType: 'session', key: 'let-me-in', userId: 'ada' } as const
    expect(await rejection(connectTerminal(page))).toMatchObject({ status: 500 })
    await until(() => warning.test(errors()))
    expect(errors()).not.toContain('canary')
  },
  20_000,
)
