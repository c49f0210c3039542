import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { startTestUpstream } from '../../src/testing.ts'
import { installPackage } from './support/install.ts'

const folder = installPackage()
const installed = join(folder, 'node_modules', 'terminal-upstream')
const manifest = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { bin: string; version: string }
const file = join(installed, manifest.bin)

/** Runs the command as an installed one is run. */
function run(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = { PATH: process.env['PATH'], TERMINAL_UPSTREAM_KEY: 'sk-1' }
  const running = promisify(execFile)(file, args, { cwd: folder, env, timeout: 30_000 })
  running.child.stdin?.end('echo "6 x 7 = $((6 * 7))"; exit\n')
  return running
}

test('is one file that a shell can run, and needs nothing but ws and isomorphic-ws', () => {
  const code = readFileSync(file, 'utf8')
  expect(code).toMatch(/^#!\/usr\/bin\/env node\n/)
  expect(statSync(file).mode & 0o111).toBe(0o111)
  const imports = [...code.matchAll(/^(?:import|export) .*?from "([^"]+)"/gm)].map(([, module = '']) => module)
  const packages = imports.filter((module) => !isBuiltin(module))
  expect(new Set(packages)).toEqual(new Set(['ws', 'isomorphic-ws']))
})

test('prints its version', async () => {
  expect(await run('--version')).toEqual({ stdout: `${manifest.version}\n`, stderr: '' })
})

test('attaches a pipe, and ends by itself', async () => {
  const upstream = await startTestUpstream({ release: 'terminals@0.0.2', key: 'sk-1', shell: 'sh' })
  onTestFinished(() => upstream.close())
  const { stdout, stderr } = await run('attach', upstream.url)
  expect({ stdout, stderr }).toEqual({ stdout: '$ 6 x 7 = 42\n', stderr: '' })
  expect(upstream.sessions).toEqual([])
})

test('says what is wrong, and ends with it', async () => {
  const upstream = await startTestUpstream({ key: 'sk-2' })
  onTestFinished(() => upstream.close())
  await expect(run('attach', upstream.url)).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      /^terminal-upstream: ERR_TERMINAL_UNAUTHORIZED: .* Check the key and .*\n$/,
    ) as string,
  })
})
