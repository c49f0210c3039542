import { existsSync, readdirSync, readFileSync } from 'node:fs'

const repository = new URL('../../', import.meta.url)
const readmes = readdirSync(new URL('src', repository)).map((name) => `src/${name}/README.md`)

/** The pages for users, relative to the repository. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readmes.filter((path) => existsSync(new URL(path, repository))).sort(),
]

/** A fenced block of a page. */
export interface Block {
  /** Page and line, such as `README.md:12`. */
  readonly where: string
  readonly page: string
  readonly language: string
  readonly code: string
  /**
   * What the comment before the block says: `run`, and the next block is what it prints; `file: …`, of which it is a
   * part; `page: …`, a file that a browser loads; `probe`, the report of the command.
   */
  readonly mark: string
  /** The block after this one. */
  readonly next: Pick<Block, 'language' | 'code'> | undefined
}

function readPage(path: string): string {
  return readFileSync(new URL(path, repository), 'utf8')
}

/** Returns the blocks of a page. */
function blocksOf(page: string): Block[] {
  const text = readPage(page)
  const matches = [...text.matchAll(/^(?:<!-- ([^\n]*) -->\n+)?```(\w*)\n(.*?)^```$/gms)]
  return matches.map(([whole, mark = '', language = '', code = ''], index) => {
    const line = text.slice(0, text.indexOf(whole)).split('\n').length
    const [, , nextLanguage = '', nextCode = ''] = matches[index + 1] ?? []
    const next = matches[index + 1] && { language: nextLanguage, code: nextCode }
    return { where: `${page}:${line}`, page, language, code, mark, next }
  })
}

/** Returns the blocks of all pages. */
export const allBlocks: readonly Block[] = PAGES.flatMap(blocksOf)

/** Returns the rows of the tables of a page, or of one of its sections, as lists of cells. */
export function rowsOf(page: string, section?: string): string[][] {
  const text = readPage(page)
  const part =
    section === undefined ? text : (text.split(/^## /m).find((each) => each.startsWith(`${section}\n`)) ?? '')
  return [...part.matchAll(/^\| (.*) \|$/gm)].map(([, row = '']) => row.split(' | ').map((cell) => cell.trim()))
}
