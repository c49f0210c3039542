import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compile, type Project } from './support/compile.ts'
import { readDeclarations } from './support/declarations.ts'
import { installPackage } from './support/install.ts'

const bare = installPackage()
const withNode = installPackage('@types/node', 'undici-types', '@types/ws', '@xterm/headless')
const withXterm = installPackage('@xterm/xterm')

/** The programs that use the package. They import it instead of our sources. */
const consumers = new Map(
  readdirSync(new URL('consumers', import.meta.url)).map((file) => {
    const source = readFileSync(new URL(`consumers/${file}`, import.meta.url), 'utf8')
      .replaceAll("'../../../src/index.ts'", "'terminal-upstream'")
      .replaceAll(/'\.\.\/\.\.\/\.\.\/src\/(\w+)\.ts'/g, "'terminal-upstream/$1'")
    return [file.replace('.ts', ''), source]
  }),
)

/** Writes consumers into the folder, as ESM and as CommonJS. */
function place(folder: string, ...names: string[]): string[] {
  return names.flatMap((name) =>
    ['mts', 'cts'].map((format) => add(folder, `${name}.${format}`, String(consumers.get(name)))),
  )
}

/** Writes a file into the folder, and returns its name. */
function add(folder: string, file: string, source: string): string {
  writeFileSync(join(folder, file), source)
  return file
}

const forWorkers = place(bare, 'contract')
const forAnything = place(bare, 'pure')
const forPages = place(withXterm, 'contract', 'browser')
const pages = { name: 'pages', folder: withXterm, lib: ['es2022', 'dom'], types: [], files: forPages }
const workers = { name: 'workers', folder: bare, lib: ['es2022', 'webworker'], types: [], files: forWorkers }
const forNode = place(withNode, 'contract', 'node', 'misuse')
const node = { name: 'Node', folder: withNode, lib: ['es2022'], types: ['node'], files: forNode }

// Only the first two tell ESM and CommonJS apart.
describe.each([
  ['nodenext', ['mts', 'cts']],
  ['node16', ['mts', 'cts']],
  ['bundler', ['mts']],
  ['node10', ['cts']],
] as const)('module %s', (module, formats) => {
  test.concurrent.each([pages, workers, node])(
    'strict code for $name compiles',
    { timeout: 120_000 },
    async (project) => {
      const files = project.files.filter((file) => formats.some((format) => file.endsWith(format)))
      expect(await compile(project.folder, { ...project, module, files })).toBe('')
    },
  )
})

test.each(readDeclarations(join(bare, 'node_modules', 'terminal-upstream')))(
  'a consumer uses each export of $module',
  ({ module, code }) => {
    const names = [...code.matchAll(/^export (?:declare )?\w+ (\w+)/gm)].map(([, name = '']) => name)
    const lists = [...consumers.values()].flatMap((source) => [
      ...source.matchAll(new RegExp(`^import (?:type )?\\{([^}]*)\\} from '${module}'`, 'gm')),
    ])
    const used = lists.flatMap(([, list = '']) => list.match(/\w+/g) ?? [])
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => !used.includes(name))).toEqual([])
  },
)

describe('code with verbatimModuleSyntax', () => {
  // Not in consumers/: erasableSyntaxOnly forbids `import … = require(…)` there.
  const required = add(
    bare,
    'required.cts',
    `import upstream = require('terminal-upstream')
    const url: string = upstream.buildUpstreamWsUrl('http://h', 'bearer', 'sk-1', 'ada')
    const connect: (options: upstream.ConnectTerminalOptions) => Promise<upstream.TerminalConnection> =
      upstream.connectTerminal
    // @ts-expect-error -- no such type
    upstream.buildUpstreamWsUrl('http://h', 'basic', 'sk-1', 'ada')
    export = { url, connect }`,
  )
  const files = [...forWorkers.filter((file) => file.endsWith('.mts')), required]

  test.concurrent.each(['nodenext', 'node16', 'preserve'] as const)('compiles as module %s', async (module) => {
    expect(await compile(bare, { ...workers, module, files, verbatim: true })).toBe('')
  })
})

describe('the declarations', () => {
  const project = { module: 'nodenext', lib: ['es2022'], types: [] } satisfies Omit<Project, 'files'>

  test.concurrent('need URL and AbortSignal as globals', async () => {
    const complaints = (await compile(bare, { ...project, files: forAnything })).matchAll(/error (.*)$/gm)
    expect(new Set([...complaints].map(([, complaint]) => complaint))).toEqual(
      new Set(["TS2304: Cannot find name 'URL'.", "TS2304: Cannot find name 'AbortSignal'."]),
    )
  })

  test.concurrent('need no other global', async () => {
    const globals = add(
      bare,
      'globals.d.ts',
      'interface URL { href: string }\ninterface AbortSignal { aborted: boolean }\n',
    )
    expect(await compile(bare, { ...project, files: [globals, ...forAnything] })).toBe('')
  })

  test('import no other package', () => {
    const dist = join(bare, 'node_modules', 'terminal-upstream', 'dist')
    const declarations = readdirSync(dist).filter((name) => /\.d\.c?ts$/.test(name))
    const code = declarations.map((name) => readFileSync(join(dist, name), 'utf8').replaceAll(/\/\*\*.*?\*\//gs, ''))
    const specifiers = [
      ...code.join('').matchAll(/(?:\bfrom |\bimport |\bimport\(|\brequire\(|<reference (?:types|path)=)['"]([^'"]+)/g),
    ]
    expect(declarations.length).toBeGreaterThan(0)
    const others = specifiers.map(([, specifier]) => specifier).filter((specifier) => !specifier?.startsWith('./'))
    // For the types of the requests and sockets that the proxy and the gateway receive.
    expect(new Set(others)).toEqual(new Set(['node:http', 'node:stream']))
  })
})
