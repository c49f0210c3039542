import { Terminal } from '@xterm/xterm'
import { connectTerminal } from '../../../src/index.ts'
import { UpstreamAddon, type XtermLike } from '../../../src/xterm.ts'

const terminal = await connectTerminal({ base: location.origin, userId: 'ada' })
const xterm = new Terminal()

export const like: XtermLike = xterm
export const addon: UpstreamAddon = new UpstreamAddon(terminal)
xterm.loadAddon(addon)

// @ts-expect-error -- a promise of a terminal
export const early: UpstreamAddon = new UpstreamAddon(connectTerminal({ base: location.origin, userId: 'ada' }))
// @ts-expect-error -- a socket, which @xterm/addon-attach takes
export const attach: UpstreamAddon = new UpstreamAddon(new WebSocket('ws://h'))
