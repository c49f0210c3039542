// What the benchmark measures, and the columns that it prints.
import { attach, ATTACHES, connect, crowd, crowdSizes, TYPISTS } from './attaching.mjs'
import { commands } from './commands.mjs'
import { idle, idleSessions, parked, parkedSessions, sleeping, stalled } from './memory.mjs'
import { KIB } from './settings.mjs'
import { screens } from './screens.mjs'
import { bulk, CRAFTED, echo, echoBesideAttaches, echoBesideFlood, echoBesideInputFlood, watched } from './traffic.mjs'

export const LABELS = {
  direct: 'no relay',
  hand: 'hand-written `ws` relay',
  'hand-post': 'hand-written, with a POST',
  stream: '`createWebSocketStream`',
  httpxy: '`httpxy` *',
  'http-proxy-3': '`http-proxy-3` *',
  tcp: 'raw TCP relay *',
  ours: '**`proxyTerminal`**',
  gateway: '**`createTerminalGateway`**',
  watched: 'the same with 10 who look on at the flood',
  screen: 'the same with `screen`',
  fetch: 'bare `fetch` and `ws`',
  iterate: '**`connectTerminal`**, `for await`',
  listen: '**`connectTerminal`**, `onData`',
  post: 'one POST that waits',
  command: '**`runCommand`**',
}

const digits = (count) => (number) => (Number.isNaN(number) ? '–' : number.toFixed(count))

/** A column: a value of the rows, and the rows that it is compared with. */
const column = (key, title, show, against = []) => ({ key, title, show, against })

const bulkColumns = [
  column('rate', 'MB/s', digits(0), ['hand', 'direct', 'ours']),
  column('cpu', "relay's CPU s per GB", digits(2)),
]
const echoColumns = [
  column('p50', 'p50, µs', digits(0), ['hand', 'direct', 'ours']),
  column('p99', 'p99, µs', digits(0), ['hand', 'direct']),
]
const memoryColumns = (unit) => [
  column('resident', `resident, ${unit}`, digits(1), ['hand']),
  column('held', `heap and buffers, ${unit}`, digits(1), ['hand']),
]

const fewer = (count, wanted) => (count < wanted ? ` (\`ulimit -n\` does not allow ${wanted})` : '')
const [few, many] = crowdSizes

/** The subjects, in the order in which they are measured. */
export const subjects = {
  'bulk-4': {
    title: 'Bulk output, frames of 4 KiB, to a client that counts bytes',
    columns: bulkColumns,
    run: () => bulk(4 * KIB, 'raw'),
  },
  'bulk-64': {
    title: 'Bulk output, frames of 64 KiB, to a client that counts bytes',
    columns: bulkColumns,
    run: () => bulk(64 * KIB, 'raw'),
  },
  'echo-1': { title: "One keystroke's echo, 1 session", columns: echoColumns, run: () => echo(1) },
  'echo-200': { title: "One keystroke's echo, 200 sessions", columns: echoColumns, run: () => echo(200) },
  beside: {
    title: "One keystroke's echo while another session of the same relay floods",
    columns: [...echoColumns, column('flood', 'flood, MB/s', digits(0))],
    run: echoBesideFlood,
  },
  'input-flood': {
    title: "One keystroke's echo while another client floods the relay with input, p50",
    columns: [
      column('empty', 'empty messages, ms', digits(2)),
      column('byte', 'messages of 1 byte, ms', digits(2)),
      column('text', 'text `{}`, ms', digits(2)),
    ],
    run: echoBesideInputFlood,
  },
  attacks: {
    title: "One keystroke's echo while another user attaches in 8 loops to a session with crafted output, p50",
    columns: [...Object.keys(CRAFTED), 'worst'].map((key) => column(key, `${key}, ms`, digits(2))),
    run: echoBesideAttaches,
  },
  watched: {
    title: 'An output flood of the gateway, and a keystroke beside it, with and without 10 who look on at the flood',
    columns: [
      column('p50', 'p50, µs', digits(0), ['gateway']),
      column('flood', 'flood, MB/s', digits(0), ['gateway']),
      column('held', 'one who reads nothing, heap and buffers, MiB', digits(1)),
    ],
    run: watched,
  },
  screen: {
    title: 'A gateway that draws whole screens: an output flood, a busy session, and a key beside hostile output',
    columns: [
      column('flood', 'flood, MB/s', digits(0), ['gateway']),
      column('held', 'a busy session, heap and buffers, KiB', digits(0)),
      column('hostile', 'key, worst p99, ms', digits(1)),
    ],
    run: screens,
  },
  'compressed-bulk': {
    title: 'Bulk output, frames of 4 KiB, from an upstream that offers compression',
    columns: bulkColumns,
    run: () => bulk(4 * KIB, 'ws', { compression: true }),
  },
  'compressed-echo': {
    title: "One keystroke's echo, from an upstream that offers compression",
    columns: echoColumns,
    run: () => echo(1, { compression: true }),
  },
  attach: {
    title: `Attaching ${ATTACHES} sessions, 50 at once`,
    columns: [
      column('rate', 'sessions/s', digits(0), ['hand']),
      column('cpu', "relay's CPU µs per attach", digits(0), ['hand', 'hand-post']),
    ],
    run: attach,
  },
  connect: {
    title: 'A client without a relay, frames of 4 KiB',
    columns: [
      column('attach', 'attach p50, ms', digits(2), ['fetch']),
      column('rate', 'reads MB/s', digits(0), ['fetch']),
      column('cpu', 'its CPU s per GB', digits(2), ['fetch']),
    ],
    run: connect,
  },
  commands: {
    title: 'One command, from its start to its result',
    columns: [
      column('true', '`true`, ms', digits(1), ['post']),
      column('lines', '9.3 MB of `seq`, ms', digits(0), ['post']),
    ],
    run: commands,
  },
  crowd: {
    title: `The echoes of ${TYPISTS} typists, in µs, with ${few} and with ${many} open sessions${fewer(many, 5_000)}`,
    columns: [
      column('p50 0', `p50 at ${few}`, digits(0)),
      column('p50 1', `p50 at ${many}`, digits(0), ['hand']),
      column('p99 0', `p99 at ${few}`, digits(0)),
      column('p99 1', `p99 at ${many}`, digits(0), ['hand']),
    ],
    run: crowd,
  },
  stalled: {
    title: 'Memory for a client that has stopped reading 500 MiB',
    columns: memoryColumns('MiB'),
    run: stalled,
  },
  idle: {
    title: `Memory per idle session, at ${idleSessions} sessions${fewer(idleSessions, 5_000)}`,
    columns: memoryColumns('KiB'),
    run: idle,
  },
  parked: {
    title: `Memory per session whose client has left, at ${parkedSessions} sessions, without their output`,
    columns: memoryColumns('KiB'),
    run: parked,
  },
  sleeping: {
    title: 'A client that sleeps for 60 s, beside an upstream that pings every 20 s and waits for 20 s',
    columns: [column('alive', 'its shell', (alive) => (alive ? 'lives' : 'dead'))],
    run: sleeping,
  },
}
