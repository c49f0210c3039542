import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { upstreamOf } from '../support/upstream.ts'
import { installPackage } from './support/install.ts'

const folder = installPackage()
const installed = join(folder, 'node_modules', 'terminal-upstream')
const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { bin: string; version: string }
const file = join(installed, manifest.bin)

/** Runs the installed command. */
function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = { PATH: process.env['PATH'], TERMINAL_UPSTREAM_KEY: 'sk-1' }
  const running = promisify(execFile)(file, args, { cwd: folder, env, timeout: 30_000 })
  running.child.stdin?.end('echo "6 x 7 = $((6 * 7))"; exit\n')
  return running
}

test('the command is one executable file that imports only ws and isomorphic-ws', () => {
  const code = readFileSync(file, 'utf8')
  expect(code).toMatch(/^#!\/usr\/bin\/env node\n/)
  expect(statSync(file).mode & 0o111).toBe(0o111)
  const imports = [...code.matchAll(/^(?:import|export) .*?from "([^"]+)"/gm)].map(([, module = '']) => module)
  const packages = imports.filter((module) => !isBuiltin(module))
  expect(new Set(packages)).toEqual(new Set(['ws', 'isomorphic-ws']))
})

test('the command prints its version', async () => {
  expect(await run('--version')).toEqual({ stdout: `${manifest.version}\n`, stderr: '' })
})

test('attach runs the commands of a pipe, and ends by itself', async () => {
  const upstream = await upstreamOf({ release: 'terminals@0.0.2', key: 'sk-1', shell: 'sh' })
  const { stdout, stderr } = await run('attach', upstream.url)
  expect({ stdout, stderr }).toEqual({ stdout: '$ 6 x 7 = 42\n', stderr: '' })
  expect(upstream.sessions).toEqual([])
})

test('attach prints why it failed, and exits with 1', async () => {
  const upstream = await upstreamOf({ key: 'sk-2' })
  await expect(run('attach', upstream.url)).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      /^terminal-upstream: ERR_TERMINAL_UNAUTHORIZED: .* Check the key and .*\n$/,
    ) as string,
  })
})

test('exec passes stdin, both streams and the exit status on, and ends by itself', async () => {
  const upstream = await upstreamOf({ key: 'sk-1' })
  await expect(run('exec', upstream.url, '--', 'cat; echo err >&2; exit 7')).rejects.toMatchObject({
    code: 7,
    stdout: 'echo "6 x 7 = $((6 * 7))"; exit\n',
    stderr: 'err\n',
  })
})
