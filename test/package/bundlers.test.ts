import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { build, type Format, type Metafile, type Platform } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { installPackage } from './support/install.ts'

const folder = installPackage()
const loads = {
  import: (names: string) => `import { ${names} } from 'terminal-upstream'\n`,
  require: (names: string) => `const { ${names} } = require('terminal-upstream')\n`,
}

/** Bundles, without white space so that no comments are left. */
async function bundle(
  code: string,
  format: Format,
  platform: Platform = 'browser',
): Promise<{ text: string; inputs: string[] }> {
  const entry = join(folder, 'entry.js')
  writeFileSync(entry, code)
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: [entry],
    absWorkingDir: folder,
    outfile: 'bundle.js',
    bundle: true,
    format,
    platform,
    minifyWhitespace: true,
    metafile: true,
    write: false,
  })
  expect(warnings).toEqual([])
  return { text: outputFiles[0]?.text ?? '', inputs: packagesIn(metafile) }
}

function packagesIn({ outputs }: Metafile): string[] {
  const used = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs))
  return used.flatMap((path) => /^node_modules\/([^/]+)/.exec(path)?.[1] ?? [])
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

describe.each(['import', 'require'] as const)('a browser bundle of an entry that has %s', (load) => {
  test.each(['esm', 'iife'] as const)('dials with the WebSocket of the browser, as %s', async (format) => {
    const code = `globalThis.closed = connectTerminal({ base: 'https://h', key: 'sk-1', userId: 'ada', sessionId: '1', settle: 1 })
      .then((terminal) => terminal.close())`
    const { text, inputs } = await bundle(loads[load]('connectTerminal') + code, format)
    expect(new Set(inputs)).toEqual(new Set(['terminal-upstream', 'isomorphic-ws']))
    expect(text.match(/\bnode:|(?<![.\w])(?:Buffer|process)\b/g)).toBeNull()

    FakeWebSocket.dialled.length = 0
    FakeWebSocket.sent.length = 0
    const context: Record<string, unknown> = { ...browser, WebSocket: FakeWebSocket }
    runInNewContext(text, context)
    expect(await context['closed']).toEqual({ code: 1000, reason: '', cause: 'local' })
    expect(FakeWebSocket.dialled).toEqual([['wss://h/api/terminals/1?user_id=ada&token=sk-1']])
    expect(FakeWebSocket.sent).toEqual(['{"type":"auth","token":"sk-1"}'])
  })

  test('loads where there is no WebSocket, and asks for one when it is to dial', async () => {
    const code = `globalThis.refused = connectTerminal({ base: 'https://h', userId: 'ada' }).catch(({ message }) => message)`
    const { text } = await bundle(loads[load]('connectTerminal') + code, 'iife')
    const context: Record<string, unknown> = { ...browser }
    runInNewContext(text, context)
    expect(await context['refused']).toMatch(/^`WebSocket` must be a class, got /)
  })
})

test.each(['browser', 'node'] as const)('a %s bundle of buildUpstreamWsUrl alone holds no socket', async (platform) => {
  const code = `globalThis.url = buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada')`
  const { text, inputs } = await bundle(loads.import('buildUpstreamWsUrl') + code, 'esm', platform)
  expect(new Set(inputs)).toEqual(new Set(['terminal-upstream']))
  expect(text.match(/WebSocket\b/g)).toBeNull()
  const context: Record<string, unknown> = { URL }
  runInNewContext(text, context)
  expect(context['url']).toBe('ws://h/?user_id=ada&token=sk-1')
})
