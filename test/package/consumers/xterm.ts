import { Terminal } from '@xterm/xterm'
import { connectTerminal } from '../../../src/index.ts'
import { UpstreamAddon, type XtermLike } from '../../../src/xterm.ts'

const terminal = await connectTerminal({ base: location.origin, userId: 'ada' })
const xterm = new Terminal()

export const like: XtermLike = xterm
export const addon: UpstreamAddon = new UpstreamAddon(terminal)
xterm.loadAddon(addon)

// @ts-expect-error -- what connectTerminal promises, not what it resolves with
export const early: UpstreamAddon = new UpstreamAddon(connectTerminal({ base: location.origin, userId: 'ada' }))
// @ts-expect-error -- a socket, as @xterm/addon-attach takes one
export const attach: UpstreamAddon = new UpstreamAddon(new WebSocket('ws://h'))
