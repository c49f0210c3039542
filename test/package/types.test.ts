import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compile, type Project } from './support/compile.ts'
import { installPackage } from './support/install.ts'

const bare = installPackage()
const withNode = installPackage('@types/node', 'undici-types')
const withWs = installPackage('@types/node', 'undici-types', '@types/ws')
const withXterm = installPackage('@xterm/xterm')

/** Copies consumers into the folder, as ESM and as CommonJS. They import the package instead of our sources. */
function place(folder: string, ...names: string[]): string[] {
  return names.flatMap((name) => {
    const source = readFileSync(new URL(`consumers/${name}.ts`, import.meta.url), 'utf8')
      .replaceAll("'../../../src/index.ts'", "'terminal-upstream'")
      .replaceAll(/'\.\.\/\.\.\/\.\.\/src\/(\w+)\.ts'/g, "'terminal-upstream/$1'")
    return [add(folder, `${name}.mts`, source), add(folder, `${name}.cts`, source)]
  })
}

/** Writes a file into the folder, and returns its name. */
function add(folder: string, file: string, source: string): string {
  writeFileSync(join(folder, file), source)
  return file
}

const forBrowsers = place(bare, 'contract', 'browser')
const forNode = place(withNode, 'contract', 'node', 'probe', 'gateway')
const forWorkers = place(bare, 'contract')
const forWs = place(withWs, 'ws', 'proxy')
const forPages = place(withXterm, 'xterm').filter((file) => file.endsWith('.mts')) // has a top-level `await`
const forAnything = place(bare, 'pure')
const browsers = { name: 'browsers', folder: bare, lib: ['es2022', 'dom'], types: [], files: forBrowsers }
const workers = { name: 'workers', folder: bare, lib: ['es2022', 'webworker'], types: [], files: forWorkers }
const pages = { name: 'pages with xterm.js', folder: withXterm, lib: ['es2022', 'dom'], types: [], files: forPages }
const node = { name: 'Node', folder: withNode, lib: ['es2022'], types: ['node'], files: forNode }
const ws = { name: 'Node with @types/ws', folder: withWs, lib: ['es2022'], types: ['node'], files: forWs }

describe.each([
  { module: 'nodenext', projects: [browsers, pages, workers, node, ws] },
  { module: 'node16', projects: [browsers, pages, workers, node] },
  { module: 'bundler', projects: [browsers, pages, workers, node] },
] as const)('module $module', ({ module, projects }) => {
  test.concurrent.each(projects)('strict code for $name compiles', async (project) => {
    expect(await compile(project.folder, { ...project, module })).toBe('')
  })
})

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
  const files = [...forBrowsers.filter((file) => file.endsWith('.mts')), required]

  test.concurrent.each(['nodenext', 'node16', 'preserve'] as const)('compiles as module %s', async (module) => {
    expect(await compile(bare, { ...browsers, module, files, verbatim: true })).toBe('')
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
