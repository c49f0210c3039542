// A page with a terminal: xterm.js, connected to the server of the page.
import '@xterm/xterm/css/xterm.css'
import './page.css'
import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import { connectTerminal } from 'terminal-upstream'
import { UpstreamAddon } from 'terminal-upstream/xterm'

const theme = {
  background: '#12141b',
  foreground: '#d6dae6',
  cursor: '#82aaff',
  selectionBackground: '#33415e',
  black: '#2a2e3b',
  red: '#f07a84',
  green: '#7fd18b',
  yellow: '#e8c47c',
  blue: '#82aaff',
  magenta: '#c99af0',
  cyan: '#7ccfe0',
  white: '#d6dae6',
  brightBlack: '#636a80',
}

const element = (id) => document.getElementById(id)

function show(state, text) {
  document.body.dataset.state = state
  element('state').textContent = text
}

const xterm = new Terminal({
  cursorBlink: true,
  fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  fontSize: 14,
  lineHeight: 1.15,
  theme,
})
const fit = new FitAddon()
xterm.loadAddon(fit)
xterm.open(element('window'))
xterm.onResize(({ cols, rows }) => {
  element('size').textContent = `${cols} × ${rows}`
})
new ResizeObserver(() => fit.fit()).observe(element('window'))

/** Opens a terminal. Resolves with a sentence about how it ended. */
async function run() {
  show('connecting', 'connecting')
  xterm.reset()
  try {
    const { cols, rows } = xterm
    const terminal = await connectTerminal({
      base: location.origin,
      // The token of the page. The server keeps the key of the upstream.
      authType: 'session',
      key: new URLSearchParams(location.hash.slice(1)).get('token'),
      userId: 'you',
      size: { cols, rows },
    })
    show('open', 'connected')
    const addon = new UpstreamAddon(terminal)
    xterm.loadAddon(addon)
    xterm.focus()
    const { cause, error } = await terminal.closed
    addon.dispose()
    return cause === 'exited' ? 'The shell has ended.' : (error?.message ?? 'The terminal was closed.')
  } catch (error) {
    return error.message
  }
}

element('again').addEventListener('click', () => {
  element('end').close()
  void start()
})

async function start() {
  element('reason').textContent = await run()
  show('ended', 'disconnected')
  element('end').showModal()
}

void start()
