import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { compile } from './support/compile.ts'
import { installPackage } from './support/install.ts'

const bare = installPackage()
const withNode = installPackage('@types/node', 'undici-types')
const withWs = installPackage('@types/node', 'undici-types', '@types/ws')

const contract = new URL('consumers/contract.ts', import.meta.url)
const browser = new URL('consumers/browser.ts', import.meta.url)
const server = new URL('consumers/node.ts', import.meta.url)
const ws = new URL('consumers/ws.ts', import.meta.url)
const proxy = new URL('consumers/proxy.ts', import.meta.url)

/** Copies consumers into the folder, where they find the package instead of our sources, as ESM and as CommonJS. */
function place(folder: string, ...consumers: URL[]): string[] {
  return consumers.flatMap((consumer) => {
    const source = readFileSync(consumer, 'utf8')
      .replaceAll('../../../src/index.ts', 'terminal-upstream')
      .replaceAll('../../../src/proxy.ts', 'terminal-upstream/proxy')
      .replaceAll('../../../src/testing.ts', 'terminal-upstream/testing')
    const name = basename(consumer.pathname, '.ts')
    const files = [`${name}.mts`, `${name}.cts`]
    for (const file of files) writeFileSync(join(folder, file), source)
    return files
  })
}

const forBrowsers = place(bare, contract, browser)
const forNode = place(withNode, contract, server)
const browsers = { name: 'browsers', folder: bare, lib: ['es2022', 'dom'], types: [], files: forBrowsers }
const node = { name: 'Node', folder: withNode, lib: ['es2022'], types: ['node'], files: forNode }
const more = [
  { name: 'workers', folder: bare, lib: ['es2022', 'webworker'], types: [], files: place(bare, contract) },
  { name: 'Node with @types/ws', folder: withWs, lib: ['es2022'], types: ['node'], files: place(withWs, ws, proxy) },
]

describe.each([
  { module: 'nodenext', projects: [browsers, node, ...more] },
  { module: 'node16', projects: [browsers, node] },
  { module: 'bundler', projects: [browsers, node] },
] as const)('module $module', ({ module, projects }) => {
  test.concurrent.each(projects)('strict code for $name compiles', async (project) => {
    expect(await compile(project.folder, { ...project, module })).toBe('')
  })
})

test('the declarations lead to no other package', () => {
  const dist = join(bare, 'node_modules', 'terminal-upstream', 'dist')
  const declarations = readdirSync(dist).filter((name) => /\.d\.c?ts$/.test(name))
  const code = declarations.map((name) => readFileSync(join(dist, name), 'utf8').replaceAll(/\/\*\*.*?\*\//gs, ''))
  const specifiers = [
    ...code.join('').matchAll(/(?:\bfrom |\bimport |\bimport\(|\brequire\(|<reference (?:types|path)=)['"]([^'"]+)/g),
  ]
  expect(declarations.length).toBeGreaterThan(0)
  const others = specifiers.map(([, specifier]) => specifier).filter((specifier) => !specifier?.startsWith('./'))
  // Node's own, for the request that `authorize` of the proxy is given.
  expect(new Set(others)).toEqual(new Set(['node:http']))
})
