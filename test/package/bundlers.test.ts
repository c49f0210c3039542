import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { upstreamOf } from '../support/upstream.ts'
import { bundlers, type Bundle, type Bundler } from './support/bundlers.ts'
import { installPackage, runNode } from './support/install.ts'

/** The modules that run in browsers, each with one of its exports. */
const BROWSER_ENTRIES = {
  'terminal-upstream': 'connectTerminal',
  'terminal-upstream/command': 'runCommand',
  'terminal-upstream/xterm': 'UpstreamAddon',
}

const folder = installPackage()
const libraries = new Map(Object.keys(BROWSER_ENTRIES).map((module, index) => [module, `library-${index}`]))
for (const [module, library] of libraries) {
  const path = join(folder, 'node_modules', library)
  mkdirSync(path)
  writeFileSync(join(path, 'index.js'), `module.exports = require('${module}')\n`)
}

/** How a program, which is an ES module, reaches the package: the library in between is CommonJS. */
const ways: Array<[way: string, from: (module: string) => string | undefined]> = [
  ['imports', (module) => module],
  ['imports a library that requires', (module) => libraries.get(module)],
]

/** The warning of webpack for the optional dependencies of ws, in bundles for Node. */
const OPTIONAL = /^Module not found: Error: Can't resolve '(?:bufferutil|utf-8-validate)' in '.*\/ws\/lib'/

/** Bundles a program, and checks that the bundler gives no warnings. */
async function bundle(bundler: Bundler, code: string, target: 'browser' | 'node' = 'browser'): Promise<Bundle> {
  const entry = join(folder, 'entry.js')
  writeFileSync(entry, code)
  const made = await bundler(entry, target)
  expect(made.warnings.filter((warning) => target === 'browser' || !OPTIONAL.test(warning))).toEqual([])
  return made
}

/** Returns the packages that a bundle has code of, except {@link libraries}. */
function packagesIn({ modules }: Bundle): Set<string> {
  const names = modules.flatMap((path) => /\bnode_modules\/([^/?]+)/.exec(path)?.[1] ?? [])
  return new Set(names.filter((name) => !name.startsWith('library-')))
}

/** A WebSocket of browsers that opens, receives nothing, and closes. */
class FakeWebSocket extends EventTarget {
  static readonly dialled: unknown[][] = []
  static readonly sent: unknown[] = []
  binaryType = 'blob'
  readonly bufferedAmount = 0

  constructor(...details: unknown[]) {
    super()
    FakeWebSocket.dialled.push(details)
    // A browser dispatches the event in a later task.
    setTimeout(() => this.dispatchEvent(new Event('open')))
  }

  send(data: unknown): void {
    FakeWebSocket.sent.push(data)
  }

  close(code: number): void {
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason: '' }))
  }
}

/** The globals of a browser that this package uses. Others are missing: `process`, `Buffer` and `global`. */
const browser = {
  AbortController,
  AbortSignal,
  clearTimeout,
  performance,
  setTimeout,
  TextDecoder,
  TextEncoder,
  URL,
  URLSearchParams,
}

describe.each(Object.entries(bundlers))('%s', (_name, bundler) => {
  describe.each(ways)('for a program that %s the package', (_way, from) => {
    const connect = `import { connectTerminal } from '${from('terminal-upstream')}'\n`

    test.each(Object.entries(BROWSER_ENTRIES))(
      'makes a bundle of all exports of %s that loads in a browser',
      async (module, name) => {
        const code = `import * as all from '${from(module)}'\nglobalThis.all = all\n`
        const made = await bundle(bundler, code)
        expect([...packagesIn(made)].filter((used) => !['terminal-upstream', 'isomorphic-ws'].includes(used))).toEqual(
          [],
        )
        expect(made.code.match(/\bnode:|(?<![.\w])(?:Buffer|process)\b/g)).toBeNull()
        const context: Record<string, unknown> = { ...browser }
        runInNewContext(made.code, context)
        expect(context['all']).toHaveProperty(name, expect.any(Function))
      },
    )

    test('makes a bundle that dials with the WebSocket of the browser', async () => {
      const code = `const options = { base: 'https://h', key: 'sk-1', userId: 'ada', sessionId: '1', settle: 1 }
        globalThis.closed = connectTerminal(options).then((terminal) => terminal.close())`
      const made = await bundle(bundler, connect + code)
      expect(packagesIn(made)).toEqual(new Set(['terminal-upstream', 'isomorphic-ws']))

      FakeWebSocket.dialled.length = 0
      FakeWebSocket.sent.length = 0
      const context: Record<string, unknown> = { ...browser, WebSocket: FakeWebSocket }
      runInNewContext(made.code, context)
      expect(await context['closed']).toEqual({ code: 1000, reason: '', cause: 'local' })
      expect(FakeWebSocket.dialled).toEqual([['wss://h/api/terminals/1?user_id=ada']])
      expect(FakeWebSocket.sent).toEqual(['{"type":"auth","token":"sk-1","offset":null}', '{"type":"ping"}'])
    })

    test('makes a bundle that loads without a WebSocket class, and asks for one when it connects', async () => {
      const code = `globalThis.refused = connectTerminal({ base: 'https://h', userId: 'ada' })
        .catch(({ message }) => message)`
      const made = await bundle(bundler, connect + code)
      const context: Record<string, unknown> = { ...browser }
      runInNewContext(made.code, context)
      expect(await context['refused']).toMatch(/^`WebSocket` must be a class, got /)
    })

    test('makes a program for Node that contains ws and opens a terminal', async () => {
      const upstream = await upstreamOf({ release: 'terminals@0.0.2', key: 'sk-1' })
      const code = `
        async function main() {
          const terminal = await connectTerminal({ base: '${upstream.url}', key: 'sk-1', userId: 'ada', settle: 10 })
          await terminal.write('hello')
          for await (const chunk of terminal) {
            console.log(new TextDecoder().decode(chunk))
            break
          }
          await terminal.close()
        }
        void main()`
      const made = await bundle(bundler, connect + code, 'node')
      expect(packagesIn(made)).toEqual(new Set(['terminal-upstream', 'isomorphic-ws', 'ws']))
      // In a folder without node_modules, so that the program cannot load a package at run time.
      const elsewhere = mkdtempSync(join(tmpdir(), 'terminal-upstream-bundle-'))
      onTestFinished(() => rmSync(elsewhere, { recursive: true }))
      expect(await runNode(elsewhere, made.format, made.code)).toEqual({ stdout: 'hello\n', stderr: '' })
      expect(upstream.requests.map(({ method, status }) => `${method} ${status}`)).toEqual([
        'POST 200',
        // The handshake without the key in the URL, the look-up that asks why, and the handshake with the key.
        'GET 403',
        'GET 200',
        'GET 101',
        // The look-up after silence.
        'GET 200',
        // The shell was ended over its connection first.
        'DELETE 404',
      ])
    })
  })

  test.each(['browser', 'node'] as const)(
    'bundles buildUpstreamWsUrl for target %s without sockets',
    async (target) => {
      const code = `import { buildUpstreamWsUrl } from 'terminal-upstream'
      console.log(buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada'))`
      const made = await bundle(bundler, code, target)
      expect(packagesIn(made)).toEqual(new Set(['terminal-upstream']))
      expect(made.code.match(/WebSocket\b/g)).toBeNull()
      expect(await runNode(folder, made.format, made.code)).toEqual({
        stdout: 'ws://h/?user_id=ada&token=sk-1\n',
        stderr: '',
      })
    },
  )

  test('bundles buildUpstreamWsUrl into code that needs no global but URL', async () => {
    const code = `import { buildUpstreamWsUrl } from 'terminal-upstream'
      globalThis.url = buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada')`
    const { code: script } = await bundle(bundler, code)
    const context: Record<string, unknown> = { URL }
    runInNewContext(script, context)
    expect(context['url']).toBe('ws://h/?user_id=ada&token=sk-1')
  })
})
