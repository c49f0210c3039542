import { WebSocket } from 'ws'
import { connectTerminal } from '../terminal/connect.ts'
import type { TerminalConnection } from '../terminal/types.ts'
import type { TestRelease } from '../testing/releases.ts'
import { startTestUpstream, type TestUpstream } from '../testing/start.ts'
import { buildUpstreamAuth } from '../upstream/auth.ts'
import { createTerminalSession } from '../upstream/sessions.ts'
import type { Call, Command } from './flags.ts'
import type { Host } from './host.ts'
import { paintFor } from './screen.ts'

export const DEMO: Command = {
  name: 'demo',
  summary: 'Shows what this package does, with servers inside this process. Nothing leaves this machine.',
  takesUrl: false,
  flags: [],
  run: runDemo,
}

const key = 'sk-demo'
const userId = 'ada'
const releases: readonly TestRelease[] = [
  'terminals@0.0.2',
  'terminals@0.0.3',
  'terminals@0.2.2',
  'open-terminal@0.11',
  'open-terminal@0.14',
]
const ATTACHED = 'attached'

async function runDemo(_call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const paint = paintFor(host.stdout, host)
  const say = (text = ''): void => {
    signal.throwIfAborted()
    host.stdout.write(`${text}\n`)
  }
  const mark = (outcome: string, width = 0): string => {
    const [colour, sign] = outcome === ATTACHED ? [paint.green, '✓'] : [paint.red, '✗']
    return colour(`${sign} ${outcome}`.padEnd(width))
  }
  const { bold } = paint

  say()
  say('Test servers inside this process behave as five releases of the servers behind')
  say('Open WebUI terminals. Nothing leaves this machine.')
  say()
  say(bold('1. Where other clients fail'))
  say('   Terminals 0.0.2 requires the key before it accepts a connection. A client can')
  say('   create a shell, but when it attaches')
  await using('terminals@0.0.2', async (upstream) => {
    say(`   - with only user_id in the URL, and the key after that:  ${mark(await attachWithoutToken(upstream))}`)
    const terminal = await connectTerminal({ base: upstream.url, key, userId })
    say(`   - with connectTerminal:                                  ${mark(ATTACHED)}`)
    say()
    say(bold('2. A real shell'))
    await showShell(terminal, (lines, command) => say(`${lines}${bold(command)}`.replaceAll(/^/gm, '   ')))
    const { cause } = await terminal.closed
    say(`   The terminal has closed by itself: ${cause}.`)
  })

  say()
  say(bold('3. The same two calls against every release'))
  say(`   ${'release'.padEnd(20)}${'only user_id'.padEnd(14)}${'connectTerminal'.padEnd(17)}it sent`)
  for (const release of releases) {
    await using(release, async (upstream) => {
      const before = await attachWithoutToken(upstream)
      const terminal = await connectTerminal({ base: upstream.url, key, userId })
      await terminal.close()
      say(`   ${release.padEnd(20)}${mark(before, 14)}${mark(ATTACHED, 17)}${shapeSeenBy(upstream)}`)
    })
  }
  say()
  return 0
}

/** Starts a server, calls `use`, and closes the server. Node 20 has no `await using`. */
async function using(release: TestRelease, use: (upstream: TestUpstream) => Promise<void>): Promise<void> {
  const upstream = await startTestUpstream({ release, key, shell: 'sh' })
  try {
    await use(upstream)
  } finally {
    await upstream.close()
  }
}

/** Attaches as a simple proxy does: `user_id` in the URL, and the key in a message once the connection is open. */
async function attachWithoutToken(upstream: TestUpstream): Promise<string> {
  const { id } = await createTerminalSession({ base: upstream.url, key, userId })
  const { headers, message } = buildUpstreamAuth({ authType: 'bearer', key, userId })
  const url = `${upstream.url.replace('http', 'ws')}/api/terminals/${id}?user_id=${userId}`
  const socket = new WebSocket(url, { headers })
  return new Promise((resolve) => {
    socket.once('unexpected-response', (_request, response) => {
      resolve(`HTTP ${response.statusCode}`)
      socket.terminate()
    })
    socket.on('error', () => {})
    socket.once('open', () => socket.send(message))
    socket.once('message', () => {
      resolve(ATTACHED)
      socket.close()
    })
  })
}

/** Returns the part of the last attach that the upstream got. */
function shapeSeenBy({ requests }: TestUpstream): string {
  let shape = ''
  for (const { kind, query, frames } of requests) {
    const hasFrame = frames.some((frame) => String(frame).includes('"type":"auth"'))
    if (kind === 'websocket') shape = `?${Object.keys(query).join('&')}${hasFrame ? ', auth frame' : ''}`
  }
  return shape
}

/** Types a few commands, each at a prompt, and shows the output before each. */
async function showShell(terminal: TerminalConnection, show: (screen: string, command: string) => void): Promise<void> {
  const output = terminal[Symbol.asyncIterator]()
  for (const command of ['echo "hello from $0, process $$"', 'uname -s', 'seq 3 | tr "\\n" " "; echo', 'exit']) {
    let screen = ''
    for (let next; !screen.endsWith('$ ') && !(next = await output.next()).done;) {
      screen += new TextDecoder().decode(next.value)
    }
    show(screen, command)
    await terminal.write(`${command}\n`)
  }
}
