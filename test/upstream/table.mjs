import { readFileSync } from 'node:fs'
import { rowsBetween, rowsOf } from '../support/markdown.mjs'

const README = new URL('README.md', import.meta.url)

/** Returns the outcomes of the cases that differ between the releases as a Markdown table, a row for each release. */
export function outcomeTable(subjects, outcomes) {
  const columns = [...new Set(outcomes.map(({ column }) => column))]
  const rows = subjects.map((subject) => [
    subject.replace('Open Terminal ', ''),
    ...columns.map((name) => outcomes.find((one) => one.subject === subject && one.column === name)?.outcome ?? '–'),
  ])
  const cells = [['Open Terminal', ...columns], ['---', ...columns.map(() => '---')], ...rows]
  return cells.map((row) => `| ${row.join(' | ')} |`).join('\n')
}

/** Returns the table if README.md has another row for one of its releases, otherwise `undefined`. */
export function compareWithReadme(table) {
  const written = new Map(rowsBetween(readFileSync(README, 'utf8'), 'upstreams').map((row) => [row[0], row]))
  const differs = rowsOf(table).some(
    ([name, ...row]) => /^\d/.test(name) && written.has(name) && written.get(name).join() !== [name, ...row].join(),
  )
  return differs ? table : undefined
}
