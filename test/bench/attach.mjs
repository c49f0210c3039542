// Measures the cost of `tokenInUrl`: connectTerminal attaches with each value, to a release that requires the key in
// the URL and to a release that does not.
//
//   npm run build && node test/bench/attach.mjs [--rounds 25]
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { connectTerminal, TerminalError } from 'terminal-upstream'
import { startTestUpstream } from 'terminal-upstream/testing'
import { median, shuffled } from './numbers.mjs'
import { answerCalls, ownOptions, start } from './processes.mjs'

const KEY = 'sk-bench'
const RELEASES = ['terminals@0.0.2', 'terminals@0.0.3']
// The other values are compared with the first one.
const VALUES = ['always', 'never', 'fallback']
// Terminals that a measurement opens, one after the other. A small number keeps the turns short.
const ATTACHES = 10
const WARM_UP = 50

// The upstream runs in a separate process: this file, started with options instead of flags.
if (process.argv[2]?.startsWith('{')) await serve(ownOptions())
else await compare()

async function serve({ release }) {
  const upstream = await startTestUpstream({ release, key: KEY, shell: prompting })
  answerCalls({
    url: () => upstream.url,
    requests: () => upstream.requests.length,
  })
}

/** A shell that prints a prompt, so that an attach does not have to wait out a silence. */
function prompting({ output }) {
  void output('$ ')
  return { input: () => {} }
}

async function compare() {
  const { values: settings } = parseArgs({ options: { rounds: { type: 'string', default: '25' } } })
  const rounds = Number(settings.rounds)
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number from 1')

  const rows = RELEASES.flatMap((release) => VALUES.map((tokenInUrl) => ({ release, tokenInUrl, results: [] })))
  const upstreams = {}
  for (const release of RELEASES) upstreams[release] = await start('attach.mjs', { release })
  for (const row of rows) await measure(row, upstreams[row.release], WARM_UP)
  for (let round = 0; round < rounds; round += 1) {
    for (const row of shuffled(rows)) row.results.push(await measure(row, upstreams[row.release], ATTACHES))
  }
  await Promise.all(Object.values(upstreams).map((upstream) => upstream.stop()))

  console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}`)
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, medians of ${rounds} rounds\n`)
  console.log(table(rows))
}

/**
 * Returns the median ms and the mean requests of `attaches` attaches, or `undefined` when the server refuses the key.
 */
async function measure({ tokenInUrl }, upstream, attaches) {
  const base = await upstream.call('url')
  const times = []
  let requests = 0
  for (let attach = 0; attach < attaches; attach += 1) {
    const before = await upstream.call('requests')
    const began = performance.now()
    let terminal
    try {
      terminal = await connectTerminal({ base, key: KEY, userId: 'ada', tokenInUrl })
    } catch (error) {
      if (error instanceof TerminalError && error.code === 'ERR_TERMINAL_UNAUTHORIZED') return undefined
      throw error
    }
    times.push(performance.now() - began)
    // Read before `close`, whose request deletes the session and belongs to no attach.
    requests += (await upstream.call('requests')) - before
    await terminal.close()
  }
  return { time: median(times), requests: requests / attaches }
}

function table(rows) {
  const lines = rows.map((row) => {
    const { release, tokenInUrl, results } = row
    if (results.includes(undefined)) return [release, tokenInUrl, 'refused', '–', '–']
    const baseline = rows.find((other) => other.release === release && other.tokenInUrl === VALUES[0]).results
    // The ratio within a round, because a machine that is slow for a while is slow for both.
    const ratio = median(results.map(({ time }, round) => time / baseline[round].time))
    const time = median(results.map((result) => result.time))
    const requests = median(results.map((result) => result.requests))
    return [release, tokenInUrl, time.toFixed(2), ratio.toFixed(2), requests.toFixed(1)]
  })
  const head = ['release', '`tokenInUrl`', 'attach p50, ms', `× ${VALUES[0]}`, 'requests per attach']
  const cells = [head, ['---', '---', '--:', '--:', '--:'], ...lines]
  return `### An attach, by \`tokenInUrl\`\n\n${cells.map((line) => `| ${line.join(' | ')} |`).join('\n')}`
}
