// Every block of a page for users is what it says to be, and every link leads somewhere.
import { execFile, execFileSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { promisify } from 'node:util'
import { transform } from 'esbuild'
import { describe, expect, test, type TestContext } from 'vitest'
import { startTestUpstream } from '../../src/testing.ts'
import { allBlocks, PAGES, type Block } from '../support/pages.ts'
import { compile } from './support/compile.ts'
import { installPackage, repository } from './support/install.ts'

const folder = installPackage(
  '@types/node',
  'undici-types',
  '@types/ws',
  '@xterm/xterm',
  '@xterm/headless',
  '@xterm/addon-serialize',
)
const installed = join(folder, 'node_modules', 'terminal-upstream')
const run = promisify(execFile)

const isCode = ({ language }: Block): boolean => language === 'js' || language === 'ts'
const programs = allBlocks.filter((block) => isCode(block) && !/^(?:file|page):/.test(block.mark))

/** What tests each block that is no program of its own. Every block is one of these, or a program. */
const OTHERS: ReadonlyArray<readonly [what: string, isOne: (block: Block) => boolean]> = [
  ['a part of a file of test/examples, which has its own test', ({ mark }) => mark.startsWith('file: ')],
  ['a file of a page that test/web loads', ({ mark }) => mark.startsWith('page: ')],
  ['the report that test/unit/cli-probe.test.ts prints', ({ mark }) => mark === 'probe'],
  ['for nginx, and test/gateway runs it', ({ language }) => language === 'nginx'],
  ['for a shell, and is tested below', ({ language }) => language === 'sh'],
  ['a header, and is tested below', ({ language }) => language === 'http'],
  [
    'what the program before it prints',
    (block) => allBlocks.some(({ mark, next }) => mark === 'run' && next?.code === block.code),
  ],
  ['the picture', ({ page, code }) => page === 'README.md' && code.includes('┌')],
]

test.each(allBlocks.filter((block) => !programs.includes(block)))('$where has a test', (block) => {
  expect(OTHERS.filter(([, isOne]) => isOne(block))).toHaveLength(1)
})

test.each(allBlocks.filter(({ mark }) => mark.startsWith('file: ')))('$where is in its file', ({ mark, code }) => {
  expect(readFileSync(join(repository, mark.slice('file: '.length)), 'utf8')).toContain(code)
})

test('the complete server has fewer than 20 lines', () => {
  const server = allBlocks.find(({ mark }) => mark === 'file: test/examples/gateway.mjs')
  expect(server?.code.trimEnd().split('\n').length).toBeLessThan(20)
})

test.each(allBlocks.filter(({ language }) => language === 'http'))('$where is what an example sends', ({ code }) => {
  const [, value = ''] = code.trim().split(': ')
  expect(readFileSync(join(repository, 'test/examples/react/server.mjs'), 'utf8')).toContain(`"${value}"`)
})

describe('the programs compile', () => {
  const typed = [...programs, ...allBlocks.filter(({ mark }) => mark === 'page: xterm.ts')]
  const nameOf = ({ where, language }: Block): string => `${where.replaceAll(/[/:]/g, '.')}.m${language}`
  for (const block of typed) writeFileSync(join(folder, nameOf(block)), block.code)
  const project = { module: 'nodenext', lib: ['es2022', 'esnext.disposable', 'dom'], types: ['node'] } as const
  const complaints = compile(folder, {
    ...project,
    lib: [...project.lib],
    types: [...project.types],
    files: typed.map(nameOf),
  })

  test.each(typed)('$where', async (block) => {
    const lines = (await complaints).split('\n')
    expect(lines.filter((line) => line.startsWith(`${nameOf(block)}(`))).toEqual([])
  })
})

/**
 * Starts the upstream that the programs and commands of the pages reach, instead of the one of their reader. Of tests
 * that run at the same time, only their contexts say which one has ended.
 */
async function world({
  onTestFinished,
}: TestContext): Promise<{ base: string; env: Record<string, string | undefined> }> {
  const options = { release: 'open-terminal@0.14.5', key: 'sk-1', shell: 'sh', authTimeout: 250 } as const
  const upstream = await startTestUpstream(options)
  onTestFinished(() => upstream.close())
  const { url } = upstream
  const env = { UPSTREAM: url, UPSTREAM_KEY: 'sk-1', CF_ID: 'id-of-the-test', CF_SECRET: 'secret-of-the-test' }
  return { base: url, env: { PATH: process.env['PATH'], HOME: folder, ...env } }
}

test.concurrent.for(programs)(
  '$where runs, and prints what it promises',
  { timeout: 120_000 },
  async (block, context) => {
    const { base, env } = await world(context)
    const code = block.code.replaceAll('http://127.0.0.1:8000', base)
    // Node 20 supports no types.
    const script = await transform(code, { loader: 'ts', format: 'esm', target: 'node20' })
    const file = join(folder, `${block.where.replaceAll(/[/:]/g, '.')}.run.mjs`)
    writeFileSync(file, script.code)
    const { stdout, stderr } = await run(process.execPath, [file], { cwd: folder, env })
    expect(stderr).toBe('')
    const promised = [...block.code.matchAll(/\/\/=> (.*)$/gm)].map(([, text]) => text)
    if (promised.length > 0) expect(stdout.trimEnd().split('\n')).toEqual(promised)
    if (block.mark === 'run') expect(stdout).toBe(block.next?.code)
  },
)

/** What a reader installs or starts, on a machine of their own. */
const BY_HAND = [
  /^npm install (?:--save-dev )?[\w@/ -]+$/,
  /^python3 -m venv venv && venv\/bin\/pip install open-terminal$/,
  /^venv\/bin\/open-terminal run /,
  // These files, and the pages, have tests of their own.
  /^cp -r node_modules\/terminal-upstream\/test\/examples\/react \.$/,
  /^UPSTREAM_KEY=sk-1 node react\/server\.mjs$/,
  /^node first\.mjs$/,
  /^UPSTREAM_KEY=sk-1 node gateway\.mjs$/,
  /^UPSTREAM_KEY=sk-1 node run-tests\.mjs 'cd project && npm test' 600$/,
  /^npx vite$/,
]
const lines = allBlocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ where, code }) =>
    code
      .trim()
      .split('\n')
      .map((line) => ({ where, line })),
  )
  .filter(({ line }) => !BY_HAND.some((pattern) => pattern.test(line)))

test.concurrent.for(lines)('$where: $line', { timeout: 120_000 }, async ({ line }, context) => {
  cpSync(join(repository, 'test/examples/gateway.mjs'), join(folder, 'server.mjs'))
  const { base, env } = await world(context)
  const command = line
    .replace('npx terminal-upstream', `'${process.execPath}' '${join(installed, 'dist', 'cli.js')}'`)
    .replace('npx esbuild', `'${join(repository, 'node_modules', '.bin', 'esbuild')}' --log-level=error`)
    .replace('http://127.0.0.1:8000', base)
    // A bundle must also start.
    .replace(/--outfile=(\S+)$/, `$& && PORT=0 node -e "import('./$1').then(() => setImmediate(() => process.exit()))"`)
    // By default, a probe also waits 65 s in silence.
    .replace(/ probe .*/, '$& --idle 0')
  expect(command).not.toBe(line)
  // The end of stdin ends `attach`.
  const running = run('sh', ['-c', command], { cwd: folder, env })
  running.child.stdin?.end('exit\n')
  await running
})

test('the commands that the pages name exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as { scripts: object }
  const text = PAGES.map((page) => readFileSync(join(repository, page), 'utf8')).join('\n')
  const named = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name)
  expect(named.filter((name) => !Object.hasOwn(scripts, String(name)))).toEqual([])
  expect(readFileSync(join(repository, 'README.md'), 'utf8').replaceAll(/\s+/g, ' ')).toMatch(
    /`npm ci && npm run demo`.*`npm ci && npm test`/,
  )
})

/** Returns the anchors of the headings of a document, as code hosts make them. */
function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
}

describe.each([
  ['in the tarball', installed],
  ['in the repository', repository],
])('the relative links %s', (_, root) => {
  const tracked = execFileSync('git', ['ls-files'], { cwd: repository, encoding: 'utf8' }).split('\n')
  const tables = ['bench', 'runtimes', 'upstream'].map((name) => `test/${name}/README.md`)

  const pages = [...PAGES, ...tables, 'src/upstream/PROTOCOL.md', 'CHANGELOG.md']

  test.each(pages)('of %s lead to a file and a heading', (page) => {
    const text = readFileSync(join(root, page), 'utf8').replaceAll(/^```.*?^```$/gms, '')
    const links = [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
    const dead = links.filter(([, path = '', anchor]) => {
      const target = path === '' ? page : normalize(join(dirname(page), path))
      const file = join(root, target)
      if (!existsSync(file) || (root === repository && !tracked.includes(target))) return true
      return anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).includes(anchor)
    })
    expect(dead.map(([link]) => link)).toEqual([])
  })
})
