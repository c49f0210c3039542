import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transform } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { compile } from './support/compile.ts'
import { installPackage, repository, runNode } from './support/install.ts'

/** A block of TypeScript or JavaScript in the comments of the source. pages.test.ts runs those of the pages. */
interface Example {
  /** File and line, such as `src/proxy.ts:12`. */
  where: string
  file: string
  code: string
}

/** Returns the examples of a Markdown document. */
function examplesOf(path: string, markdown: string): Example[] {
  return [...markdown.matchAll(/^```(ts|js)\n(.*?)^```$/gms)].map(({ 1: language = '', 2: code = '', index }) => {
    const line = markdown.slice(0, index).split('\n').length
    const format = /\brequire\(/.test(code) ? 'c' : 'm'
    return { where: `${path}:${line}`, file: `${path.replaceAll('/', '.')}.${line}.${format}${language}`, code }
  })
}

/** Returns the examples in the comments of a source file, with the line numbers of the file. */
function examplesOfSource(path: string): Example[] {
  const source = readFileSync(join(repository, path), 'utf8')
  return examplesOf(path, source.replaceAll(/^ *\* ?/gm, ''))
}

const folder = installPackage('@types/node', 'undici-types', '@types/ws', '@xterm/xterm')
const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' })
const examples = sources.filter((path) => path.endsWith('.ts')).flatMap((path) => examplesOfSource(`src/${path}`))

describe('the examples compile', async () => {
  for (const { file, code } of examples) writeFileSync(join(folder, file), code)
  const complaints = compile(folder, {
    module: 'nodenext',
    lib: ['es2022', 'dom'],
    types: ['node'],
    files: examples.map(({ file }) => file),
  })

  test.each(examples)('$where', async ({ file }) => {
    const lines = (await complaints).split('\n')
    expect(lines.filter((line) => line.startsWith(`${file}(`))).toEqual([])
  })

  test('without errors in other files', async () => {
    const lines = (await complaints).split('\n')
    expect(lines.filter((line) => !examples.some(({ file }) => line.startsWith(`${file}(`)))).toEqual([''])
  })
})

async function run({ code }: Example): Promise<string> {
  // Node 20 supports neither types nor `await using`.
  const script = await transform(code, { loader: 'ts', format: 'esm', target: 'node20' })
  const { stdout } = await runNode(folder, 'mjs', script.code)
  return stdout
}

test.each(examples.filter(({ code }) => code.includes('//=> ')))(
  '$where prints the values of its `//=>` comments',
  async (example) => {
    const promised = [...example.code.matchAll(/\/\/=> (.*)$/gm)].map(([, text]) => text)
    expect((await run(example)).trimEnd().split('\n')).toEqual(promised)
  },
)
