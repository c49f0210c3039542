import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readDeclarations } from './support/declarations.ts'
import { installPackage, repository, runNode } from './support/install.ts'

const folder = installPackage()
const installed = join(folder, 'node_modules', 'terminal-upstream')

/** The values that each entry point declares. */
const EXPORTS = readDeclarations(installed).map(({ module, code }) => {
  const values = code.matchAll(/^export declare (?:class|function) (\w+)/gm)
  // A function has a declaration for each of its overloads.
  return [module, [...new Set([...values].map(([, name = '']) => name))].sort()] as const
})

/** Returns a statement of each module format that loads some exports of a module. */
const load = {
  mjs: (names: string, module: string) => `import { ${names} } from '${module}'\n`,
  cjs: (names: string, module: string) => `const { ${names} } = require('${module}')\n`,
}

/** Runs code, and returns what it prints, parsed as JSON. */
async function printed(format: 'mjs' | 'cjs', code: string): Promise<unknown> {
  const { stdout, stderr } = await runNode(folder, format, code)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

describe('the tarball', () => {
  test('does not contain the path of the repository', () => {
    const texts = readdirSync(join(installed, 'dist')).map((name) =>
      readFileSync(join(installed, 'dist', name), 'utf8'),
    )
    expect(texts.filter((text) => text.includes(repository))).toEqual([])
  })

  test('depends on ws and isomorphic-ws only', () => {
    const manifest: unknown = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
    expect(manifest).toHaveProperty('dependencies', {
      ws: expect.any(String) as unknown,
      'isomorphic-ws': expect.any(String) as unknown,
    })
    // Whoever wants whole screens installs them.
    const peers = ['@xterm/addon-serialize', '@xterm/headless']
    const { peerDependencies = {} } = manifest as { peerDependencies?: object }
    expect(Object.keys(peerDependencies)).toEqual(peers)
    const optional = Object.fromEntries(peers.map((peer) => [peer, { optional: true }]))
    expect(manifest).toHaveProperty('peerDependenciesMeta', optional)
    expect(manifest).not.toHaveProperty('optionalDependencies')
  })
})

describe.each(EXPORTS)('%s', (module, names) => {
  test('has the same exports for import and require', async () => {
    const code = `const both = [await import('${module}'), createRequire(import.meta.url)('${module}')]
      console.log(JSON.stringify(both.map((exports) => Object.keys(exports).sort())))`
    const keys = await printed('mjs', `import { createRequire } from 'node:module'\n${code}`)
    expect(keys).toEqual([names, names])
  })

  test.each(['mjs', 'cjs'] as const)('has no side effects when a .%s file loads it', async (format) => {
    // The module loader closes its files in the next turn.
    const report = `setImmediate(() => {
      const resources = process.getActiveResourcesInfo()
      if (resources.length > 0) console.log(resources)
    })`
    const { stdout, stderr } = await runNode(folder, format, load[format](names.join(', '), module) + report)
    expect(stdout + stderr).toBe('')
  })
})

test('a file that is no entry point cannot be imported', async () => {
  const code = `import('terminal-upstream/dist/index.js').catch(({ code }) => console.log(JSON.stringify(code)))`
  expect(await printed('mjs', code)).toBe('ERR_PACKAGE_PATH_NOT_EXPORTED')
})

test('an error of the ESM or CommonJS copy is an instance of the TerminalError of the other', async () => {
  const code = `
    import { createRequire } from 'node:module'
    import * as esm from 'terminal-upstream'
    const cjs = createRequire(import.meta.url)('terminal-upstream')
    const errorOf = ({ buildUpstreamWsUrl }) => {
      try { buildUpstreamWsUrl('ftp://h', 'none', null, 'u') } catch (error) { return error }
    }
    console.log(JSON.stringify({
      twoCopies: esm.TerminalError !== cjs.TerminalError,
      esmIsCjs: errorOf(esm) instanceof cjs.TerminalError,
      cjsIsEsm: errorOf(cjs) instanceof esm.TerminalError,
      otherIsEither: [esm, cjs].some(({ TerminalError }) => new Error('no') instanceof TerminalError),
    }))`
  const answers = { twoCopies: true, esmIsCjs: true, cjsIsEsm: true, otherIsEither: false }
  expect(await printed('mjs', code)).toEqual(answers)
})

test.each(['mjs', 'cjs'] as const)(
  'TerminalError has its name in every printer when a .%s file loads it',
  async (format) => {
    const code = `
    const error = new TerminalError('ERR_TERMINAL_CLOSED', 'it is closed')
    class Derived extends TerminalError {}
    console.log(JSON.stringify({
      inspected: inspect(error).slice(0, 28),
      // What pino prints as the type.
      constructorName: error.constructor.name,
      frame: error.stack.includes('_TerminalError'),
      derived: [new Derived('ERR_TERMINAL_CLOSED', '') instanceof TerminalError, error instanceof Derived],
    }))`
    const loads = load[format]('TerminalError', 'terminal-upstream') + load[format]('inspect', 'node:util')
    expect(await printed(format, loads + code)).toEqual({
      inspected: 'TerminalError: it is closed\n',
      constructorName: 'TerminalError',
      frame: false,
      derived: [true, false],
    })
  },
)

describe.each(['mjs', 'cjs'] as const)('from a .%s file', async (format) => {
  const none = ['undefined', 'null', "''", "'   '", "'\\n'", "'Bearer'", "'Bearer '", "'  Bearer   '"]
  const some = ["'sk-1'", "' sk-1 '", "'Bearer sk-1'"]
  const keys = [...none, ...some]
  const urls = keys.map((key) => `buildUpstreamWsUrl('http://h/', 'bearer', ${key}, 'u')`)
  const built = printed(
    format,
    `${load[format]('buildUpstreamWsUrl', 'terminal-upstream')}console.log(JSON.stringify([${urls.join(', ')}]))`,
  )

  test.each(urls.map((url, index) => [url, index] as const))('%s', async (_url, index) => {
    const token = index < none.length ? '' : '&token=sk-1'
    expect(await built).toHaveProperty([index], `ws://h/?user_id=u${token}`)
  })

  test('a program opens, uses and closes a terminal, and then exits by itself', async () => {
    const code = `
      async function main() {
        const upstream = await startTestUpstream({ release: 'terminals@0.0.2', key: 'sk-1' })
        const terminal = await connectTerminal({ base: upstream.url, key: 'sk-1', userId: 'ada' })
        await terminal.write('hello')
        let output = ''
        for await (const chunk of terminal) {
          output += new TextDecoder().decode(chunk)
          if (output === '$ hello') break
        }
        const { cause } = await terminal.close()
        const left = upstream.sessions.length
        await upstream.close()
        console.log(JSON.stringify({ output, cause, left }))
      }
      void main()`
    const loads = load[format]('connectTerminal', 'terminal-upstream')
    const loadsTesting = load[format]('startTestUpstream', 'terminal-upstream/testing')
    const result = await printed(format, loads + loadsTesting + code)
    expect(result).toEqual({ output: '$ hello', cause: 'local', left: 0 })
  })
})
