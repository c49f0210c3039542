// The table of what each runtime can do, as in README.md. Runtimes that can do the same share a row.

import { rowsBetween } from '../support/markdown.mjs'

const HEAD = [
  'runtime',
  'WebSocket class',
  'headers in the handshake',
  'protocol pings',
  'a reader that stops',
  'HTTP status of a refused handshake',
  'attaches to',
]

/** Returns the row of a runtime with one WebSocket class. */
export function rowOf(runtime, { dialsWithOwn, headers, pings, pauses, refusal, missing }) {
  return [
    runtime,
    dialsWithOwn ? 'its own' : '`ws`',
    headers ? 'yes' : 'no',
    pings ? 'yes' : 'no',
    pauses ? 'makes the server wait' : 'fills the memory',
    refusal === undefined ? 'hidden' : 'visible',
    missing.length === 0 ? 'every release' : `all but ${missing.toSorted().join(', ')}`,
  ]
}

/** Formats the table as prettier does. */
export function drawTable(rows) {
  const groups = new Map()
  for (const [runtime, ...abilities] of rows) {
    const group = groups.get(abilities.join()) ?? [[], abilities]
    groups.set(abilities.join(), group)
    group[0].push(runtime)
  }
  const lines = [HEAD, ...[...groups.values()].map(([runtimes, abilities]) => [runtimes.join(', '), ...abilities])]
  const widths = HEAD.map((_cell, column) => Math.max(...lines.map((line) => line[column].length)))
  const draw = (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const [head, ...rest] = lines.map(draw)
  return [head, draw(widths.map((width) => '-'.repeat(width))), ...rest].join('\n')
}

/** Returns how the table in README.md differs for the runtimes that have run. README.md may have no table. */
export function differencesTo(readme, rows) {
  const [head, ...lines] = rowsBetween(readme, 'runtimes')
  if (!head) return []
  const tested = new Set(rows.map(([runtime]) => runtime))
  const written = lines
    .flatMap(([runtimes, ...abilities]) => runtimes.split(', ').map((runtime) => [runtime, ...abilities]))
    .filter(([runtime]) => tested.has(runtime))
  return [
    ...missingRows([head, ...written], [HEAD, ...rows]).map((row) => `lacks the row ${row}`),
    ...missingRows([HEAD, ...rows], [head, ...written]).map((row) => `has the wrong row ${row}`),
  ]
}

/** Returns the wanted rows that the rows do not have. */
function missingRows(rows, wanted) {
  const existing = new Set(rows.map(String))
  return wanted.map(String).filter((row) => !existing.has(row))
}
