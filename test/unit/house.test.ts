import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as closeCodes from '../../src/upstream/close-codes.ts'

/** The folders of `src` that a folder may import from, beside itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  lib: [],
  screen: ['lib'],
  upstream: ['lib'],
  terminal: ['lib', 'upstream'],
  command: ['lib', 'upstream'],
  client: ['lib', 'upstream', 'terminal'],
  proxy: ['lib', 'upstream', 'terminal', 'client'],
  gateway: ['lib', 'screen', 'upstream', 'terminal', 'client'],
  probe: ['lib', 'upstream', 'terminal'],
  testing: ['lib'],
  xterm: ['lib', 'terminal'],
  cli: ['lib', 'screen', 'upstream', 'terminal', 'command', 'probe', 'testing'],
}

/**
 * Close codes stand in one list. These have the numbers of terminal modes, and the servers for tests use nothing of the
 * rest.
 */
const LIST_OF_CLOSE_CODES = join('upstream', 'close-codes.ts')
const OTHER_NUMBERS = ['queries.ts', 'switches.ts'].map((name) => join('screen', name))

const LONGEST_SOURCE = 250
const LONGEST_TEST = 400

const source = fileURLToPath(new URL('../../src', import.meta.url))
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

/** Returns the first folder of a path in `src`, `''` for an entry point. */
function folderOf(path: string): string {
  return path.includes(sep) ? String(path.split(sep)[0]) : ''
}

/** Returns the files of `src` that a file imports, relative to `src`. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(source, path), 'utf8')
  const specifiers = [...text.matchAll(/^(?:import|export)\b[^'"]*from '(\.[^']+)'/gm)].map(
    ([, specifier]) => specifier,
  )
  return specifiers.map((specifier) => relative(source, normalize(join(source, dirname(path), String(specifier)))))
}

const modules = files.filter((path) => folderOf(path) !== '')
const entryPoints = files.filter((path) => folderOf(path) === '')

describe('src', () => {
  it('has an import rule for each of its folders', () => {
    expect(new Set(modules.map(folderOf))).toEqual(new Set(Object.keys(MAY_IMPORT)))
  })

  it.each(modules)('%s imports only from the folders that its folder may import from', (path) => {
    const folder = folderOf(path)
    const allowed = [folder, ...(MAY_IMPORT[folder] ?? [])]
    expect(importsOf(path).filter((imported) => !allowed.includes(folderOf(imported)))).toEqual([])
  })

  it.each(entryPoints.filter((path) => path !== 'cli.ts'))('the entry point %s has nothing but re-exports', (path) => {
    const code = readFileSync(join(source, path), 'utf8')
    expect(code.replaceAll(/^export (?:type )?\{[^}]*\} from '\.\/[\w/-]+\.ts'\n/gm, '').trim()).toBe('')
  })

  it('has no circular imports', () => {
    const done = new Set<string>()
    const visit = (path: string, trail: readonly string[]): void => {
      expect(trail, 'circular imports').not.toContain(path)
      if (done.has(path)) return
      for (const imported of importsOf(path)) visit(imported, [...trail, path])
      done.add(path)
    }
    for (const path of files) visit(path, [])
  })

  it.each(
    files.filter((path) => folderOf(path) !== 'testing' && ![LIST_OF_CLOSE_CODES, ...OTHER_NUMBERS].includes(path)),
  )('%s takes its close codes from the list of them', (path) => {
    const code = readFileSync(join(source, path), 'utf8').replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, '')
    const numbers = [...code.matchAll(/(?<![\w.])\d{4}\b/g)].map(([number]) => Number(number))
    expect(numbers.filter((number) => Object.values<unknown>(closeCodes).includes(number))).toEqual([])
  })

  it.each(files)(`%s has at most ${LONGEST_SOURCE} lines`, (path) => {
    expect(readFileSync(join(source, path), 'utf8').split('\n').length).toBeLessThanOrEqual(LONGEST_SOURCE)
  })
})

describe('the guide to the house', () => {
  const guide = readFileSync(join(source, 'README.md'), 'utf8')

  it('lists the folders, each above those that it may import from', () => {
    const folders = [...guide.matchAll(/^\| `(\w+)\/` /gm)].map(([, folder]) => String(folder))
    expect(new Set(folders)).toEqual(new Set(Object.keys(MAY_IMPORT)))
    const isAbove = (folder: string, index: number): boolean =>
      MAY_IMPORT[folder]?.every((other) => folders.indexOf(other) > index) === true
    expect(folders.filter((folder, index) => !isAbove(folder, index))).toEqual([])
  })

  const rooms = [...guide.matchAll(/`([\w-]+\/[\w-]+\.ts)`: `([\w.]+)`/g)].map(([, ...room]) => room)

  it.each(rooms)('leads through %s, which has %s', (path, names = '') => {
    const code = readFileSync(join(source, path), 'utf8')
    const isDeclared = (name: string): boolean =>
      new RegExp(`^(?:export |async |static |  )*(?:class |function )?${name}[<( ]`, 'm').test(code)
    expect(names.split('.').filter((name) => !isDeclared(name))).toEqual([])
  })

  it('tells four journeys, in ten lines each at most', () => {
    const journeys = guide.split(/^## .*\n/m).slice(1)
    expect(
      journeys.map((journey) => journey.match(/^.+$/gm)?.length).filter((lines) => Number(lines) <= 10),
    ).toHaveLength(4)
    // Each file stands with what it has.
    expect(rooms).toHaveLength(Number(guide.match(/\/[\w-]+\.ts`/g)?.length))
  })
})

const tests = fileURLToPath(new URL('..', import.meta.url))
const testFiles = readdirSync(tests, { recursive: true, encoding: 'utf8' }).filter((path) => /\.m?ts$/.test(path))

it('no comment is wider than 120 columns', () => {
  const paths = [...files.map((path) => join(source, path)), ...testFiles.map((path) => join(tests, path))]
  const wide = paths.flatMap((path) =>
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.length > 120 && /^ *(?:\/\/|\/?\*)/.test(line))
      .map((line) => `${path}: ${line}`),
  )
  expect(wide).toEqual([])
})

describe('the tests', () => {
  it.each(testFiles)(`%s has at most ${LONGEST_TEST} lines`, (path) => {
    expect(readFileSync(join(tests, path), 'utf8').split('\n').length).toBeLessThanOrEqual(LONGEST_TEST)
  })
})
