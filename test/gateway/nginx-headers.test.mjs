import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createTerminalGateway } from '../../src/gateway.ts'
import { connectTerminal } from '../../src/index.ts'
import { probeUpstream } from '../../src/probe.ts'
import { TOKEN } from '../support/front.ts'
import { run } from '../support/host.ts'
import { serveGateway } from '../support/terminal-gateway.ts'
import { clientOf, outputWith, upstreamOf } from '../support/upstream.ts'
import { hasNginx, startAccess, startBasicAuth } from './nginx.ts'

const BASIC = { Authorization: `Basic ${Buffer.from('ada:canary word').toString('base64')}` }

/** Starts an upstream with a real shell. */
function startUpstream(options) {
  return upstreamOf({ release: 'open-terminal@0.14.5', shell: 'sh', authTimeout: 3_000, ...options })
}

/** Types a command, and expects what it prints. */
async function expectShell(terminal) {
  const printed = outputWith(terminal, 'it is 42')
  await terminal.write('echo it is $((6 * 7))\n')
  await printed
  expect((await terminal.close()).cause).toBe('local')
}

/** Writes the headers to a file for --header-file. */
function fileWith(headers) {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`)
  writeFileSync(join(folder, 'headers'), lines.join(''), { mode: 0o600 })
  return join(folder, 'headers')
}

/** Passes nginx with every function and command. */
async function expectToPass(options, flags) {
  await expectShell(await connectTerminal(options))
  const { settle: _, ...upstream } = options
  const gateway = await serveGateway(createTerminalGateway({ authorize: () => upstream }))
  await expectShell(await connectTerminal({ base: gateway, userId: 'a page' }))
  expect(await probeUpstream({ ...options, idle: 0 })).toMatchObject({ ok: true, family: 'open-terminal@>=0.12.4' })
  const env = { TERMINAL_UPSTREAM_KEY: options.key }
  const target = [options.base, '--user', 'ada', ...flags]
  expect(await run(['list', ...target], { env })).toMatchObject({ status: 0, stderr: 'No sessions.\n' })
  const attached = await run(['attach', ...target], { env, piped: 'echo it is $((6 * 7)); exit\n' })
  expect(attached).toMatchObject({ status: 0, stdout: expect.stringContaining('it is 42') })
}

test.runIf(hasNginx())(
  'headers pass nginx that wants a service token, in every function and command',
  { timeout: 120_000 },
  async () => {
    const nginx = await startAccess((await startUpstream()).url, TOKEN)
    onTestFinished(() => nginx.stop())
    const client = clientOf(nginx)
    await expect(connectTerminal(client)).rejects.toMatchObject({ status: 403 })
    await expectToPass({ ...client, headers: TOKEN }, ['--header-file', fileWith(TOKEN)])
  },
)

test.runIf(hasNginx())(
  'headers pass nginx that wants basic auth, with the auth type none, in every function and command',
  { timeout: 120_000 },
  async () => {
    const nginx = await startBasicAuth((await startUpstream({ key: '' })).url, 'ada', 'canary word')
    onTestFinished(() => nginx.stop())
    const { key: _, ...client } = { ...clientOf(nginx), authType: 'none' }
    await expect(connectTerminal(client)).rejects.toMatchObject({ status: 401 })
    const flags = ['--auth-type', 'none', '--header', `Authorization: ${BASIC.Authorization}`]
    await expectToPass({ ...client, headers: BASIC }, flags)
  },
)
