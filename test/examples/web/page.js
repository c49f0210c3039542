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

// What people can do something about, in their words.
const ENDINGS = {
  ERR_TERMINAL_NOT_FOUND: 'The shell is gone: the server was restarted, or has ended it.',
  ERR_TERMINAL_IN_USE: 'The terminal was opened in another window.',
  ERR_TERMINAL_UNAVAILABLE: 'The server cannot be reached any more.',
}

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
xterm.onTitleChange((title) => (document.title = title))
// Before it connects: a screen that is drawn again is drawn for the first size that the server gets.
fit.fit()
new ResizeObserver(() => fit.fit()).observe(element('window'))

/** Connects to the session that this tab had before it was reloaded, or to a new one. It ends with the terminal. */
function open() {
  const { cols, rows } = xterm
  return connectTerminal({
    base: location.origin,
    // The token of the page. The server keeps the key of the upstream.
    authType: 'session',
    key: new URLSearchParams(location.hash.slice(1)).get('token'),
    userId: 'you',
    size: { cols, rows },
    sessionId: sessionStorage.getItem('session'),
    createIfGone: true,
  })
}

/** Opens a terminal. Resolves with a sentence about how it ended. */
async function run() {
  show('connecting', 'connecting')
  xterm.reset()
  try {
    const terminal = await open()
    sessionStorage.setItem('session', terminal.sessionId)
    show('open', 'connected')
    terminal.onStatus((status) => {
      if (status === 'open') show('open', 'connected')
      else if (status === 'reconnecting') show('reconnecting', 'reconnecting')
    })
    const addon = new UpstreamAddon(terminal)
    xterm.loadAddon(addon)
    xterm.focus()
    const { cause, error } = await terminal.closed
    addon.dispose()
    sessionStorage.removeItem('session')
    if (cause === 'exited') return 'The shell has ended.'
    return ENDINGS[error?.code] ?? error?.message ?? 'The terminal was closed.'
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
