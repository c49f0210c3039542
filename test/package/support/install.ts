import { execFile, execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, vi } from 'vitest'

// Compilers and child processes are slow on a busy machine.
vi.setConfig({ testTimeout: 60_000 })

export const repository = fileURLToPath(new URL('../../..', import.meta.url))

/**
 * Packs the build and unpacks it into the `node_modules` of an empty folder, with its dependencies and `others`.
 * Returns the folder, which is removed after the tests of the file.
 *
 * The dependencies are copies: through a link, they could load the whole `node_modules` of the repository.
 */
export function installPackage(...others: string[]): string {
  if (!existsSync(join(repository, 'dist', 'index.js'))) throw new Error('There is no dist/: run `npm run build` first')
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'terminal-upstream-')))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const pack = ['pack', '--ignore-scripts', '--offline', '--silent', '--pack-destination', folder]
  const tarball = execFileSync('npm', pack, { cwd: repository, encoding: 'utf8' }).trim()
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'terminal-upstream'), { recursive: true })
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', join(modules, 'terminal-upstream')], {
    cwd: folder,
  })
  for (const name of ['ws', 'isomorphic-ws', ...others]) {
    cpSync(join(repository, 'node_modules', name), join(modules, name), { recursive: true })
  }
  return folder
}

let files = 0

/** Runs code from a file in the folder. Rejects with its output unless it exits by itself with status 0. */
export async function runNode(
  folder: string,
  format: 'mjs' | 'cjs',
  code: string,
): Promise<{ stdout: string; stderr: string }> {
  const file = `run.${(files += 1)}.${format}`
  writeFileSync(join(folder, file), code)
  // Other variables, such as those for colours, would change the output.
  const env = { PATH: process.env['PATH'] }
  return promisify(execFile)(process.execPath, [file], { cwd: folder, env, timeout: 15_000 })
}
