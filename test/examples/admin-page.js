// The page of admin.mjs.
import '@xterm/xterm/css/xterm.css'
import { Terminal } from '@xterm/xterm'
import { connectTerminal } from 'terminal-upstream'
import { UpstreamAddon } from 'terminal-upstream/xterm'

const key = 'let-me-see' // yours: from the login of the admin
const list = document.body.appendChild(document.createElement('ul'))
let leave = () => {}

async function ask(path, method = 'GET') {
  const answer = await fetch(`/admin/${path}`, { method, headers: { Authorization: `Bearer ${key}` } })
  return answer.json()
}

/** Shows what a shell shows, until it ends or another one is looked at. */
async function lookOn({ id, userId }) {
  leave()
  const xterm = new Terminal()
  const element = document.body.appendChild(document.createElement('div'))
  xterm.open(element)
  const leaving = new AbortController()
  const { signal } = leaving
  leave = () => {
    leaving.abort()
    xterm.dispose()
    element.remove()
  }
  try {
    const page = { base: location.origin, authType: 'session', key, userId }
    const terminal = await connectTerminal({ ...page, sessionId: id, watch: true, signal })
    signal.addEventListener('abort', () => terminal.detach())
    xterm.loadAddon(new UpstreamAddon(terminal))
    const { cause, error } = await terminal.closed
    if (!signal.aborted) xterm.write(`\r\n[${error?.why ?? cause}]`)
  } catch (error) {
    if (!signal.aborted) xterm.write(`\r\n[${error.why ?? error}]`)
  }
}

function button(text, act) {
  const element = document.createElement('button')
  element.textContent = text
  element.addEventListener('click', act)
  return element
}

async function show() {
  const shells = await ask('shells')
  list.replaceChildren(
    ...shells.map((shell) => {
      const item = document.createElement('li')
      const end = () => ask(`shells/${shell.id}`, 'DELETE').then(show)
      item.append(
        `${shell.userId} `,
        button('Look on', () => lookOn(shell)),
        button('End', end),
      )
      return item
    }),
  )
}

await show()
setInterval(show, 5_000)
