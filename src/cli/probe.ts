import { CHECKS, type ProbeCheck, type ProbeCheckName, type ProbeFamily } from '../probe/facts.ts'
import { probe, type ProbeListener } from '../probe/probe-upstream.ts'
import type { ProbeReport } from '../probe/verdict.ts'
import { withFlagNames } from './failure.ts'
import { millisecondsOf, TARGET_FLAGS, type Call, type Command } from './flags.ts'
import type { Host } from './host.ts'
import { paintFor, startProgress, type Paint } from './screen.ts'
import { oneOf, readTarget } from './target.ts'

export const PROBE: Command = {
  name: 'probe',
  summary: `Finds out which server answers, what it requires of a client and what is wrong, and says what to do.

Creates up to nine sessions for --user, and deletes them. The key is in two URLs, or in three if no attempt without it
there succeeds (Terminals up to 0.0.2); with --token-in-url never, in none. The server's log shows one attempt with a
wrong key, and on an Open Terminal one as a second user, who must not reach the sessions of --user.

The exit status is 0 if a terminal opens and nothing else is wrong.`,
  takesUrl: true,
  flags: [...TARGET_FLAGS, 'token-in-url', 'idle', 'origin', 'json'],
  help: { 'token-in-url': 'whether the key may be in the URL: always (default) or never' },
  run: runProbe,
}

const FAMILIES: Record<ProbeFamily, string> = {
  'terminals@<=0.0.2': 'Terminals up to 0.0.2',
  'terminals@>=0.0.3 <0.2.0': 'Terminals from 0.0.3 to 0.1.0',
  'terminals@>=0.2.0': 'Terminals from 0.2.0 on',
  'open-terminal@<=0.12.3': 'Open Terminal up to 0.12.3',
  'open-terminal@>=0.12.4': 'Open Terminal from 0.12.4 on',
  gateway: 'a gateway of terminal-upstream',
  'open-webui': 'Open WebUI, in front of a terminal server',
}

async function runProbe(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const { flags } = call
  const tokenInUrl = oneOf('--token-in-url', ['always', 'never'], flags['token-in-url'])
  const times = { timeout: millisecondsOf(call, 'timeout', 0.001), idle: millisecondsOf(call, 'idle', 0) }
  const options = { ...(await readTarget(call, host, signal)), ...times, tokenInUrl, origin: flags.origin }
  const json = flags.json !== undefined
  const paint = paintFor(host.stdout, host)
  const print = (text: string): void => void host.stdout.write(`${text}\n`)
  // When each check that is running has started. The last one is shown, if it takes long.
  const running = new Map<ProbeCheckName, number>()
  let stopProgress: (() => void) | undefined
  const showProgress = (): void => {
    stopProgress?.()
    const [latest] = [...running].slice(-1)
    stopProgress = latest && startProgress(host, CHECKS[latest[0]], latest[1])
  }
  const listener: ProbeListener = {
    started(name) {
      running.set(name, performance.now())
      showProgress()
    },
    finished(check) {
      running.delete(check.name)
      showProgress()
      if (!json) print(lineOf(check, paint))
    },
  }
  try {
    const report = await probe(options, listener)
    print(json ? JSON.stringify(report, undefined, 2) : summaryOf(report, paint))
    return report.ok ? 0 : 1
  } finally {
    stopProgress?.()
  }
}

function lineOf({ name, outcome, status, closeCode, detail, ms }: ProbeCheck, paint: Paint): string {
  const [word, colour] = wordFor(outcome, paint)
  const words = [word, status && `HTTP ${status}`, closeCode, withFlagNames(detail)].filter(Boolean).join(' ')
  return `${CHECKS[name].padEnd(36)}${colour(words)} ${paint.dim(`(${ms} ms)`)}`
}

/** Returns the word for an outcome, `''` if the rest of the line says it, and the colour of the line. */
function wordFor(outcome: ProbeCheck['outcome'], { green, red, dim }: Paint): [word: string, colour: Paint['red']] {
  if (outcome === 'ok') return ['✓', green]
  if (outcome === 'attached') return ['attached', green]
  if (outcome === 'failed') return ['✗', red]
  if (outcome === 'skipped') return ['–', dim]
  return [outcome === 'silence' ? 'silence' : '', String]
}

function summaryOf({ works, family, version, advice }: ProbeReport, { bold }: Paint): string {
  const release = [family && FAMILIES[family], version && `(says that it is Open Terminal ${version})`]
  const lines = [
    ['release', release.filter(Boolean).join(' ') || 'could not be told'],
    ['attaches with', works ? CHECKS[works] : 'nothing'],
    ['what to do', withFlagNames(advice)],
  ]
  return `\n${lines.map(([name = '', text = '']) => `${bold(name.padEnd(36))}${text}`).join('\n')}`
}
