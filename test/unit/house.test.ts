import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

/** Which folders of `src` a folder may import from, beside itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  lib: [],
  upstream: ['lib'],
  terminal: ['lib', 'upstream'],
  proxy: ['lib', 'upstream', 'terminal'],
  probe: ['lib', 'upstream', 'terminal'],
  testing: ['lib'],
  xterm: ['lib', 'terminal'],
  cli: ['lib', 'upstream', 'terminal', 'probe', 'testing'],
}

const LONGEST_SOURCE = 250

const source = fileURLToPath(new URL('../../src', import.meta.url))
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))

/** Returns the first folder of a path in `src`, `''` for a door. */
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

const rooms = files.filter((path) => folderOf(path) !== '')
const doors = files.filter((path) => folderOf(path) === '')

describe('the source', () => {
  it('has a rule for each of its folders', () => {
    expect(new Set(rooms.map(folderOf))).toEqual(new Set(Object.keys(MAY_IMPORT)))
  })

  it.each(rooms)('%s imports from folders below its own only, and no door', (path) => {
    const folder = folderOf(path)
    const allowed = [folder, ...(MAY_IMPORT[folder] ?? [])]
    expect(importsOf(path).filter((imported) => !allowed.includes(folderOf(imported)))).toEqual([])
  })

  it.each(doors.filter((path) => path !== 'cli.ts'))('the door %s only exports what its folders have', (path) => {
    const code = readFileSync(join(source, path), 'utf8')
    expect(code.replaceAll(/^export (?:type )?\{[^}]*\} from '\.\/[\w/-]+\.ts'\n/gm, '').trim()).toBe('')
  })

  it('has no circle of imports', () => {
    const done = new Set<string>()
    const visit = (path: string, trail: readonly string[]): void => {
      expect(trail, 'a circle').not.toContain(path)
      if (done.has(path)) return
      for (const imported of importsOf(path)) visit(imported, [...trail, path])
      done.add(path)
    }
    for (const path of files) visit(path, [])
  })

  it.each(files)(`%s has at most ${LONGEST_SOURCE} lines`, (path) => {
    expect(readFileSync(join(source, path), 'utf8').split('\n').length).toBeLessThanOrEqual(LONGEST_SOURCE)
  })
})
