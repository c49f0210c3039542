import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { transform } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { compile } from './support/compile.ts'
import { installPackage, repository, runNode } from './support/install.ts'

/** A block of TypeScript or JavaScript in a document. */
interface Example {
  /** File and line, such as `README.md:12`. */
  where: string
  file: string
  code: string
  /** Whether `<!-- run -->` stands before the block: it runs with nothing but the package. */
  runs: boolean
  /** What the example prints: the next block of the document, if that is a text block. */
  prints: string | undefined
}

/** Returns the examples of a Markdown document. */
function examplesOf(path: string, markdown: string): Example[] {
  const blocks = [...markdown.matchAll(/^(<!-- run -->\n+)?```(\w*)\n(.*?)^```$/gms)]
  return blocks.flatMap(({ 1: mark = '', 2: language = '', 3: code = '', index }, number) => {
    if (language !== 'ts' && language !== 'js') return []
    const line = markdown.slice(0, index + mark.length).split('\n').length
    const [, , nextLanguage, text] = blocks[number + 1] ?? []
    return {
      where: `${path}:${line}`,
      file: `${path.replaceAll('/', '.')}.${line}.${/\brequire\(/.test(code) ? 'c' : 'm'}${language}`,
      code,
      runs: mark !== '',
      prints: nextLanguage === 'text' ? text : undefined,
    }
  })
}

/** Returns the examples in the comments of a source file, with the line numbers of the file. */
function examplesOfSource(path: string): Example[] {
  const source = readFileSync(join(repository, path), 'utf8')
  return examplesOf(path, source.replaceAll(/^ *\* ?/gm, ''))
}

const folder = installPackage('@types/node', 'undici-types', '@types/ws', '@xterm/xterm')
const readme = join(repository, 'README.md')
const sources = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' })
const examples = [
  ...(existsSync(readme) ? examplesOf('README.md', readFileSync(readme, 'utf8')) : []),
  ...sources.filter((path) => path.endsWith('.ts')).flatMap((path) => examplesOfSource(`src/${path}`)),
]

test('README.md has an example that runs and shows what it prints', () => {
  expect(existsSync(readme), 'README.md exists').toBe(true)
  const shown = examples.filter(({ where, runs, prints }) => where.startsWith('README.md:') && runs && prints)
  expect(shown.length).toBeGreaterThan(0)
})

test('README.md contains the example of a gateway unchanged, in fewer than 20 lines', () => {
  const gateway = readFileSync(join(repository, 'test', 'examples', 'gateway.mjs'), 'utf8')
  expect(readFileSync(readme, 'utf8')).toContain(`\`\`\`js\n${gateway}\`\`\``)
  expect(gateway.trimEnd().split('\n').length).toBeLessThan(20)
})

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

test.each(examples.filter(({ runs }) => runs))('$where prints the text block after it', async (example) => {
  const stdout = await run(example)
  if (example.prints !== undefined) expect(stdout.trimEnd()).toBe(example.prints.trimEnd())
})

test.each(examples.filter(({ code }) => code.includes('//=> ')))(
  '$where prints the values of its `//=>` comments',
  async (example) => {
    const promised = [...example.code.matchAll(/\/\/=> (.*)$/gm)].map(([, text]) => text)
    expect((await run(example)).trimEnd().split('\n')).toEqual(promised)
  },
)
