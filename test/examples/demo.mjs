// What `npm run demo` runs: the main job of this package, on its own test upstream.
import { buildUpstreamAuth, connectTerminal, createTerminalSession } from 'terminal-upstream'
import { startTestUpstream } from 'terminal-upstream/testing'
import { WebSocket } from 'ws'

const key = 'sk-demo'
const userId = 'ada'
const releases = ['terminals@0.0.2', 'terminals@0.0.3', 'terminals@0.2.2', 'open-terminal@0.11', 'open-terminal@0.14']

const colours = process.stdout.isTTY && !process.env.NO_COLOR
const paint = (code, text) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text)
const bold = (text) => paint(1, text)
const say = (text = '') => console.log(text)
const attached = { ok: true, text: 'attached' }
const mark = ({ ok, text }, width = 0) => paint(ok ? 32 : 31, `${ok ? '✓' : '✗'} ${text}`.padEnd(width))

/** Attaches as a naive proxy does: `user_id` in the URL, and the key in a message once the connection is open. */
async function attachTheOldWay(upstream) {
  const { id } = await createTerminalSession({ base: upstream.url, key, userId })
  const { headers, message } = buildUpstreamAuth({ authType: 'bearer', key, userId })
  const url = `${upstream.url.replace('http', 'ws')}/api/terminals/${id}?user_id=${userId}`
  const socket = new WebSocket(url, { headers })
  return new Promise((resolve) => {
    socket.once('unexpected-response', (_request, response) => {
      resolve({ ok: false, text: `HTTP ${response.statusCode}` })
      socket.terminate()
    })
    socket.on('error', () => {})
    socket.once('open', () => socket.send(message))
    socket.once('message', () => {
      resolve(attached)
      socket.close()
    })
  })
}

/** What the last attach carried, as the upstream saw it. */
function shapeSeenBy({ requests }) {
  const { query, frames } = requests.findLast(({ kind }) => kind === 'websocket')
  const frame = frames.some((text) => String(text).includes('"type":"auth"')) ? ', auth frame' : ''
  return `?${Object.keys(query).join('&')}${frame}`
}

/** Types a few commands, each when the shell asks for one, and shows the screen. */
async function showShell(terminal) {
  const commands = ['echo "hello from $0, process $$"', 'uname -s', 'seq 3 | tr "\\n" " "; echo', 'exit']
  let screen = ''
  for await (const chunk of terminal) {
    screen += new TextDecoder().decode(chunk)
    if (!screen.endsWith('$ ')) continue
    const command = commands.shift() ?? 'exit'
    process.stdout.write(`${screen}${bold(command)}\n`.replaceAll(/^/gm, '   ').trimEnd() + '\n')
    screen = ''
    await terminal.write(`${command}\n`)
  }
}

say()
say('Stand-ins for five releases of the servers behind Open WebUI terminals, in this')
say('process; nothing leaves this machine.')
say()
say(bold('1. Where other clients fail'))
say('   Terminals 0.0.2 wants the key before it accepts a connection. A shell can be')
say('   created, but attaching to it')
await using(await startTestUpstream({ release: 'terminals@0.0.2', key, shell: 'sh' }), async (upstream) => {
  say(`   - with only user_id in the URL, and the key after that:  ${mark(await attachTheOldWay(upstream))}`)
  const terminal = await connectTerminal({ base: upstream.url, key, userId })
  say(`   - with connectTerminal:                                  ${mark(attached)}`)
  say()
  say(bold('2. A real sh behind it'))
  await showShell(terminal)
  const { cause } = await terminal.closed
  say(`   The terminal has closed by itself: ${cause}.`)
})

say()
say(bold('3. The same two calls against every release'))
say(`   ${'release'.padEnd(20)}${'only user_id'.padEnd(14)}${'connectTerminal'.padEnd(17)}it sent`)
for (const release of releases) {
  await using(await startTestUpstream({ release, key, shell: 'sh' }), async (upstream) => {
    const before = await attachTheOldWay(upstream)
    const terminal = await connectTerminal({ base: upstream.url, key, userId })
    await terminal.close()
    say(`   ${release.padEnd(20)}${mark(before, 14)}${mark(attached, 17)}${shapeSeenBy(upstream)}`)
  })
}
say()

/** `await using`, for Node 20. */
async function using(upstream, use) {
  try {
    await use(upstream)
  } finally {
    await upstream.close()
  }
}
