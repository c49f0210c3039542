import { readFileSync } from 'node:fs'

const README = new URL('README.md', import.meta.url)

/** What each release did in the cases that differ, as a Markdown table. */
export function outcomeTable(outcomes) {
  const columns = [...new Set(outcomes.map(({ column }) => column))]
  const rows = [...new Set(outcomes.map(({ subject }) => subject))].map((subject) => [
    subject.replace('Open Terminal ', ''),
    ...columns.map((name) => outcomes.find((one) => one.subject === subject && one.column === name)?.outcome ?? '–'),
  ])
  const cells = [['Open Terminal', ...columns], ['---', ...columns.map(() => '---')], ...rows]
  return cells.map((row) => `| ${row.join(' | ')} |`).join('\n')
}

const rowsOf = (table) => {
  const rows = table.split('\n').filter((line) => line.startsWith('|'))
  // However prettier has aligned them.
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

/** The table, if README.md has rows for the same releases that say something else. */
export function compareWithReadme(table) {
  const section = /<!-- upstreams -->(.*)<!-- \/upstreams -->/s.exec(readFileSync(README, 'utf8'))?.[1] ?? ''
  const written = rowsOf(section)
  const differs = [...rowsOf(table)].some(([name, row]) => {
    const other = /^\d/.test(name) && written.get(name)
    return other && other.join('|') !== row.join('|')
  })
  return differs ? table : undefined
}
