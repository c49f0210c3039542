// The table of what each runtime can do, as README.md has it: one row for all that can do the same.

const HEAD = [
  'runtime',
  'WebSocket class',
  'headers in the handshake',
  'protocol pings',
  'a reader that stops',
  'HTTP status of a refused handshake',
  'attaches to',
]
const START = '<!-- runtimes -->'
const END = '<!-- /runtimes -->'

/** What was found out in one runtime with one class. */
export function rowOf(runtime, { dialsWithOwn, headers, pings, pauses, refusal, missing }) {
  return [
    runtime,
    dialsWithOwn ? 'its own' : '`ws`',
    headers ? 'yes' : 'no',
    pings ? 'yes' : 'no',
    pauses ? 'makes the server wait' : 'reads into memory',
    refusal === undefined ? 'not told' : 'told',
    missing.length === 0 ? 'every release' : `all but ${missing.toSorted().join(', ')}`,
  ]
}

/** Draws it as prettier formats it. */
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

/** Says what README.md has otherwise about the runtimes that have run; it need not have the table. */
export function differences(readme, rows) {
  const start = readme.indexOf(START)
  const end = readme.indexOf(END)
  if (start === -1 && end === -1) return []
  const [head = [], , ...lines] = readme
    .slice(start, end)
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map(cellsOf)
  const ran = new Set(rows.map(([runtime]) => runtime))
  const written = lines
    .flatMap(([runtimes, ...abilities]) => runtimes.split(', ').map((runtime) => [runtime, ...abilities]))
    .filter(([runtime]) => ran.has(runtime))
  return [
    ...lacking([head, ...written], [HEAD, ...rows]).map((row) => `does not say ${row}`),
    ...lacking([HEAD, ...rows], [head, ...written]).map((row) => `says ${row}, which is not so`),
  ]
}

function lacking(rows, wanted) {
  const there = new Set(rows.map(String))
  return wanted.map(String).filter((row) => !there.has(row))
}

function cellsOf(line) {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}
