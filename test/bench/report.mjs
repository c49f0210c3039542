// The tables of results and of goals.
import { median } from './numbers.mjs'
import { LABELS } from './subjects.mjs'

/** The rows of each subject: an object with one list for each relay, which has one item for each round. */
export const results = {}

const middle = (subject, key, name) => median(results[subject][name].map((row) => row[key]))

/** Returns the median of the ratios within a round, because a machine that is slow for a while is slow for both. */
function ratio(subject, key, name, other) {
  const others = results[subject][other]
  return median(results[subject][name].map((row, round) => row[key] / others[round][key]))
}

/** Returns the table of a subject. */
export function subjectTable({ title, columns }, subject) {
  const names = Object.keys(results[subject])
  const shown = columns.map((column) => ({
    ...column,
    against: column.against.filter((other) => names.includes(other)),
  }))
  const head = shown.flatMap((column) => [column.title, ...column.against.map((other) => `× ${LABELS[other]}`)])
  const rows = names.map((name) => [
    LABELS[name],
    ...shown.flatMap(({ key, show, against }) => [
      show(middle(subject, key, name)),
      ...against.map((other) => ratio(subject, key, name, other).toFixed(2)),
    ]),
  ])
  const lines = [['', ...head], ['---', ...head.map(() => '--:')], ...rows]
  return `### ${title}\n\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
}

/** Returns how much more heap an idle session of the gateway takes than one of proxyTerminal. */
const moreHeap = (subject) => middle(subject, 'held', 'gateway') - middle(subject, 'held', 'ours')

/** Returns how much more a busy session takes if its screen is drawn. */
const moreForScreen = (subject) => middle(subject, 'held', 'screen') - middle(subject, 'held', 'gateway')

const ours = (key) => (subject) => middle(subject, key, 'ours')
const times =
  (key, other, name = 'ours') =>
  (subject) =>
    ratio(subject, key, name, other)

/** A goal: the subject that measures it, its text, the wanted value and its unit, and how to get the value reached. */
const atMost = (subject, text, most, unit, measure) => ({
  subject,
  text,
  wanted: `≤ ${most} ${unit}`,
  measure,
  isMet: (value) => value <= most,
})
const atLeast = (subject, text, least, unit, measure) => ({
  subject,
  text,
  wanted: `≥ ${least} ${unit}`,
  measure,
  isMet: (value) => value >= least,
})

const GOALS = [
  atMost('idle', 'memory of an idle session, heap', 9, 'KiB', ours('held')),
  // 0.86 KiB more than proxyTerminal before sessions could be resumed, and 2 KiB for that.
  atMost('idle', 'gateway: heap of an idle session', 2.86, 'KiB more', moreHeap),
  atMost('parked', 'gateway: heap of a parked session', 24, 'KiB', (subject) => middle(subject, 'held', 'gateway')),
  atMost('idle', 'memory of an idle session, resident', 14, 'KiB', ours('resident')),
  atMost('attach', 'CPU of an attach', 1, '× hand-written with POST', times('cpu', 'hand-post')),
  atLeast('attach', 'rate of attaching', 0.68, '× hand-written', times('rate', 'hand')),
  atLeast('bulk-4', 'bulk, frames of 4 KiB', 1.9, '× hand-written', times('rate', 'hand')),
  // The same with and without the output that is kept, and its modes.
  atLeast('bulk-4', 'gateway: bulk, frames of 4 KiB', 0.9, '× proxyTerminal', times('rate', 'ours', 'gateway')),
  atMost('bulk-4', 'bulk, frames of 4 KiB, CPU', 1.2, 's per GB', ours('cpu')),
  atLeast('bulk-64', 'bulk, frames of 64 KiB', 1, '× hand-written', times('rate', 'hand')),
  atMost('beside', 'key beside an output flood, p50', 3, '× no relay', times('p50', 'direct')),
  atLeast('beside', 'the output flood beside it', 250, 'MB/s', ours('flood')),
  atMost('input-flood', 'key beside empty messages, p50', 10, 'ms', ours('empty')),
  atMost('input-flood', 'key beside messages of 1 byte, p50', 10, 'ms', ours('byte')),
  atMost('input-flood', 'key beside short text messages, p50', 10, 'ms', ours('text')),
  atMost('attacks', "one user's worst effect on another's key, p50", 10, 'ms', (subject) =>
    middle(subject, 'worst', 'gateway'),
  ),
  atMost(
    'watched',
    'key beside a flood that 10 look on at, p50',
    2,
    '× without them',
    times('p50', 'gateway', 'watched'),
  ),
  atLeast('watched', 'the flood that they look on at', 0.5, '× without them', times('flood', 'gateway', 'watched')),
  atMost('watched', 'memory for one who looks on and reads nothing', 1, 'MiB', (subject) =>
    middle(subject, 'held', 'watched'),
  ),
  atLeast('screen', 'the flood of a session with a screen', 0.8, '× without one', times('flood', 'gateway', 'screen')),
  atMost('screen', 'memory of a busy session with a screen', 307, 'KiB more', moreForScreen),
  atMost('screen', 'key beside hostile output that is drawn, p99', 10, 'ms', (subject) =>
    middle(subject, 'hostile', 'screen'),
  ),
  atMost('echo-1', 'quiet key, 1 session, p99', 1.1, '× hand-written', times('p99', 'hand')),
  atMost('echo-200', 'quiet key, 200 sessions, p99', 1.1, '× hand-written', times('p99', 'hand')),
  atMost('connect', 'connectTerminal, CPU of for await', 1.4, '× bare ws', times('cpu', 'fetch', 'iterate')),
  atMost('connect', 'connectTerminal, CPU of onData', 1.4, '× bare ws', times('cpu', 'fetch', 'listen')),
  atMost('connect', 'connectTerminal, attach p50', 1.15, '× fetch and ws', times('attach', 'fetch', 'iterate')),
  atMost('commands', 'runCommand of true', 4, '× one POST', times('true', 'post', 'command')),
  atMost('commands', 'runCommand with 9.3 MB of output', 3, '× one POST', times('lines', 'post', 'command')),
  atLeast('compressed-bulk', 'bulk, compression offered', 8, '× hand-written', times('rate', 'hand')),
  atMost('stalled', 'memory for a stalled client', 3, 'MiB', ours('resident')),
  atLeast('sleeping', "sleeping client's shells that live", 1, 'of 1', ours('alive')),
]

/** Returns the goals of the subjects that were measured, as a table of at most 100 columns. */
export function goalTable() {
  const rows = GOALS.filter(({ subject }) => results[subject]).map(({ subject, text, wanted, measure, isMet }) => {
    const value = measure(subject)
    return [text, wanted, `${isMet(value) ? '✓' : '✗'} ${value.toFixed(2)}`]
  })
  if (rows.length === 0) return 'These subjects have no goals.'
  const head = ['goal', 'wanted', 'reached']
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((cells) => cells[column].length)))
  const ruler = widths.map((width) => '-'.repeat(width))
  const lines = [head, ruler, ...rows].map((cells) => cells.map((cell, column) => cell.padEnd(widths[column])))
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
