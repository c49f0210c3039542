import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startTestUpstream } from '../../src/testing.ts'
import { bundlers, type Bundle, type Bundler } from './support/bundlers.ts'
import { installPackage, runNode } from './support/install.ts'

/** What runs in browsers, each with one of its exports. */
const BROWSER_ENTRIES = {
  'terminal-upstream': 'connectTerminal',
  'terminal-upstream/xterm': 'UpstreamAddon',
}

const folder = installPackage()
const libraries = new Map(Object.keys(BROWSER_ENTRIES).map((module, index) => [module, `library-${index}`]))
for (const [module, library] of libraries) {
  const path = join(folder, 'node_modules', library)
  mkdirSync(path)
  writeFileSync(join(path, 'index.js'), `module.exports = require('${module}')\n`)
}

/** How a program gets at the package: it is of ES modules itself, what it depends on need not be. */
const ways: Array<[way: string, from: (module: string) => string | undefined]> = [
  ['imports', (module) => module],
  ['imports a library that requires', (module) => libraries.get(module)],
]

/** Packages that ws does without where they are missing; webpack alone tells, when it looks at ws, for Node. */
const OPTIONAL = /^Module not found: Error: Can't resolve '(?:bufferutil|utf-8-validate)' in '.*\/ws\/lib'/

async function bundle(bundler: Bundler, code: string, target: 'browser' | 'node' = 'browser'): Promise<Bundle> {
  const entry = join(folder, 'entry.js')
  writeFileSync(entry, code)
  const made = await bundler(entry, target)
  expect(made.warnings.filter((warning) => target === 'browser' || !OPTIONAL.test(warning))).toEqual([])
  return made
}

/** The packages that a bundle holds something of, but for {@link libraries}. */
function packagesIn({ modules }: Bundle): Set<string> {
  const names = modules.flatMap((path) => /\bnode_modules\/([^/?]+)/.exec(path)?.[1] ?? [])
  return new Set(names.filter((name) => !name.startsWith('library-')))
}

/** A WebSocket of browsers as far as connecting goes: it opens, says nothing and closes when told to. */
class FakeWebSocket extends EventTarget {
  static readonly dialled: unknown[][] = []
  static readonly sent: unknown[] = []
  binaryType = 'blob'
  readonly bufferedAmount = 0

  constructor(...details: unknown[]) {
    super()
    FakeWebSocket.dialled.push(details)
    setTimeout(() => this.dispatchEvent(new Event('open')))
  }

  send(data: unknown): void {
    FakeWebSocket.sent.push(data)
  }

  close(code: number): void {
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason: '' }))
  }
}

/** What this package may expect of a browser, and nothing else: no `process`, no `Buffer`, no `global`. */
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
  describe.each(ways)('of a program that %s the package', (_way, from) => {
    const connect = `import { connectTerminal } from '${from('terminal-upstream')}'\n`

    test.each(Object.entries(BROWSER_ENTRIES))('makes of all of %s what browsers can load', async (module, name) => {
      const code = `import * as all from '${from(module)}'\nglobalThis.all = all\n`
      const made = await bundle(bundler, code)
      expect([...packagesIn(made)].filter((used) => !['terminal-upstream', 'isomorphic-ws'].includes(used))).toEqual([])
      expect(made.code.match(/\bnode:|(?<![.\w])(?:Buffer|process)\b/g)).toBeNull()
      const context: Record<string, unknown> = { ...browser }
      runInNewContext(made.code, context)
      expect(context['all']).toHaveProperty(name, expect.any(Function))
    })

    test('makes a bundle that dials with the WebSocket of the browser', async () => {
      const code = `globalThis.closed = connectTerminal({ base: 'https://h', key: 'sk-1', userId: 'ada', sessionId: '1', settle: 1 })
        .then((terminal) => terminal.close())`
      const made = await bundle(bundler, connect + code)
      expect(packagesIn(made)).toEqual(new Set(['terminal-upstream', 'isomorphic-ws']))

      FakeWebSocket.dialled.length = 0
      FakeWebSocket.sent.length = 0
      const context: Record<string, unknown> = { ...browser, WebSocket: FakeWebSocket }
      runInNewContext(made.code, context)
      expect(await context['closed']).toEqual({ code: 1000, reason: '', cause: 'local' })
      expect(FakeWebSocket.dialled).toEqual([['wss://h/api/terminals/1?user_id=ada']])
      expect(FakeWebSocket.sent).toEqual(['{"type":"auth","token":"sk-1"}', '{"type":"ping"}'])
    })

    test('makes a bundle that loads where there is no WebSocket, and asks for one when it is to dial', async () => {
      const code = `globalThis.refused = connectTerminal({ base: 'https://h', userId: 'ada' }).catch(({ message }) => message)`
      const made = await bundle(bundler, connect + code)
      const context: Record<string, unknown> = { ...browser }
      runInNewContext(made.code, context)
      expect(await context['refused']).toMatch(/^`WebSocket` must be a class, got /)
    })

    test('makes a program for Node that brings ws with it and opens a terminal', async () => {
      const upstream = await startTestUpstream({ release: 'terminals@0.0.2', key: 'sk-1' })
      onTestFinished(() => upstream.close())
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
      // Away from the packages: it must not find them when it runs.
      const elsewhere = mkdtempSync(join(tmpdir(), 'terminal-upstream-bundle-'))
      onTestFinished(() => rmSync(elsewhere, { recursive: true }))
      expect(await runNode(elsewhere, made.format, made.code)).toEqual({ stdout: 'hello\n', stderr: '' })
      expect(upstream.requests.map(({ method, status }) => `${method} ${status}`)).toEqual([
        'POST 200',
        // Without the key in the URL, the look-up that asks why, and with the key.
        'GET 403',
        'GET 200',
        'GET 101',
        // The look-up that confirms the silence.
        'GET 200',
        'DELETE 200',
      ])
    })
  })

  test.each(['browser', 'node'] as const)('leaves sockets out of buildUpstreamWsUrl for target %s', async (target) => {
    const code = `import { buildUpstreamWsUrl } from 'terminal-upstream'
      console.log(buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada'))`
    const made = await bundle(bundler, code, target)
    expect(packagesIn(made)).toEqual(new Set(['terminal-upstream']))
    expect(made.code.match(/WebSocket\b/g)).toBeNull()
    expect(await runNode(folder, made.format, made.code)).toEqual({
      stdout: 'ws://h/?user_id=ada&token=sk-1\n',
      stderr: '',
    })
  })

  test('makes of buildUpstreamWsUrl what runs where there is nothing but URL', async () => {
    const code = `import { buildUpstreamWsUrl } from 'terminal-upstream'
      globalThis.url = buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada')`
    const { code: script } = await bundle(bundler, code)
    const context: Record<string, unknown> = { URL }
    runInNewContext(script, context)
    expect(context['url']).toBe('ws://h/?user_id=ada&token=sk-1')
  })
})
