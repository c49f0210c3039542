import { readFileSync } from 'node:fs'

const README = new URL('README.md', import.meta.url)

/** Returns the outcomes of the cases that differ between the releases as a Markdown table. */
export function outcomeTable(outcomes) {
  const columns = [...new Set(outcomes.map(({ column }) => column))]
  const rows = [...new Set(outcomes.map(({ subject }) => subject))].map((subject) => [
    subject.replace('Open Terminal ', ''),
    ...columns.map((name) => outcomes.find((one) => one.subject === subject && one.column === name)?.outcome ?? '–'),
  ])
  const cells = [['Open Terminal', ...columns], ['---', ...columns.map(() => '---')], ...rows]
  return cells.map((row) => `| ${row.join(' | ')} |`).join('\n')
}

/** Returns the rows of a Markdown table by their first cells. */
const rowsOf = (table) => {
  const rows = table.split('\n').filter((line) => line.startsWith('|'))
  // Prettier pads the cells in README.md.
  return new Map(
    rows
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      )
      .map((row) => [row[0], row]),
  )
}

/** Returns the table if README.md has another row for one of its releases, otherwise `undefined`. */
export function compareWithReadme(table) {
  const section = /<!-- upstreams -->(.*)<!-- \/upstreams -->/s.exec(readFileSync(README, 'utf8'))?.[1] ?? ''
  const written = rowsOf(section)
  const differs = [...rowsOf(table)].some(([name, row]) => {
    const other = /^\d/.test(name) && written.get(name)
    return other && other.join('|') !== row.join('|')
  })
  return differs ? table : undefined
}
