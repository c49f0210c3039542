import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { KNOWN_REASONS } from '../../src/upstream/close-codes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Returns the text of a file of this repository. */
function read(path: string): string {
  return readFileSync(`${root}/${path}`, 'utf8')
}

/** Returns the code files of a folder, with their paths from the root. */
function filesOf(folder: string): string[] {
  const paths = readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
  return paths.filter((path) => /\.m?ts$/.test(path)).map((path) => `${folder}/${path}`)
}

const clauses = [...read('src/upstream/PROTOCOL.md').matchAll(/^- \*\*(\d+\.\d+)\*\*/gm)].map(
  ([, clause]) => `${clause}`,
)

/**
 * Returns the clauses that a file cites, in the form `PROTOCOL 1.2`, `PROTOCOL 1.2 and 1.3` or `PROTOCOL 1.2 to 1.4`.
 */
function citationsOf(path: string): string[] {
  const citations = read(path).matchAll(/PROTOCOL ((?:\d+\.\d+(?:, | and | to )?)+)/g)
  return [...citations].flatMap(([, list]) => {
    const parts = String(list)
      .split(/, | and /)
      .filter(Boolean)
    return parts.flatMap((part) => {
      const [first = '', last = first] = part.split(' to ')
      return first === last ? [first] : clauses.slice(clauses.indexOf(first), clauses.indexOf(last) + 1)
    })
  })
}

const source = filesOf('src')
const tests = filesOf('test').filter((path) => !path.endsWith('protocol-document.test.ts'))

describe('PROTOCOL.md', () => {
  it('numbers its clauses in order, each once', () => {
    const order = (clause: string): number => {
      const [section, number] = clause.split('.')
      return Number(section) * 100 + Number(number)
    }
    expect(new Set(clauses).size).toBe(clauses.length)
    expect(clauses).toEqual([...clauses].sort((a, b) => order(a) - order(b)))
  })

  it('says for each clause whether it was run or read', () => {
    const paragraphs = read('src/upstream/PROTOCOL.md').split(/\n(?=- \*\*|\n)/)
    const withoutEvidence = paragraphs.filter((text) => text.startsWith('- **') && !/\((?:ran|read)\b/.test(text))
    expect(withoutEvidence).toEqual([])
  })

  it.each(clauses)('has a test for its clause %s', (clause) => {
    expect(tests.filter((path) => citationsOf(path).includes(clause))).not.toEqual([])
  })

  it('lists the reasons that may reach a client, word for word, in 6.8', () => {
    const [clause = ''] = /^- \*\*6\.8[^]*?\(read/m.exec(read('src/upstream/PROTOCOL.md')) ?? []
    const reasons = [...clause.matchAll(/"([^"]+)"/g)].map(([, reason = '']) => reason.replaceAll(/\s+/g, ' '))
    expect([...new Set(reasons)].sort()).toEqual([...KNOWN_REASONS].sort())
  })

  it.each([...source, ...tests])('has every clause that %s cites', (path) => {
    expect(citationsOf(path).filter((clause) => !clauses.includes(clause))).toEqual([])
  })
})
