import '@xterm/xterm/css/xterm.css'
import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import { connectTerminal } from 'terminal-upstream'
import { UpstreamAddon } from 'terminal-upstream/xterm'

/** Shows a shell in an element. Returns a function that ends both. */
export function openShell(element) {
  const xterm = new Terminal()
  const fit = new FitAddon()
  xterm.loadAddon(fit)
  xterm.open(element)
  fit.fit()
  const observer = new ResizeObserver(() => fit.fit())
  observer.observe(element)

  const leaving = new AbortController()
  let terminal
  void run()

  async function run() {
    try {
      terminal = await connect(xterm, leaving.signal)
      // The element may have gone in this very moment.
      if (leaving.signal.aborted) {
        void terminal.close()
        return
      }
      sessionStorage.setItem('shell', terminal.sessionId)
      xterm.loadAddon(new UpstreamAddon(terminal))
      xterm.focus()
      const { cause, error } = await terminal.closed
      if (sessionStorage.getItem('shell') === terminal.sessionId) sessionStorage.removeItem('shell')
      if (!leaving.signal.aborted) xterm.write(`\r\n[${error?.why ?? cause}]`)
    } catch (error) {
      if (!leaving.signal.aborted) xterm.write(`\r\n[${error.why ?? error}]`)
    }
  }

  return () => {
    // While it connects, this ends that, and the shell that it has created.
    leaving.abort()
    if (terminal) {
      sessionStorage.removeItem('shell')
      void terminal.close()
    }
    observer.disconnect()
    xterm.dispose()
  }
}

/** Connects to the shell that this tab had before it was reloaded, or to a new one. */
function connect({ cols, rows }, signal) {
  // The cookie says who it is, so there is no key; and the gateway ignores the `userId` of a page.
  const options = { base: location.origin, authType: 'none', userId: 'me', size: { cols, rows }, signal }
  return connectTerminal({ ...options, sessionId: sessionStorage.getItem('shell'), createIfGone: true })
}
