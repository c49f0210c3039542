import { WebSocket } from 'ws'
import { connectTerminal, type ConnectTerminalOptions, type TerminalConnection } from '../../../src/index.ts'

class Proxied extends WebSocket {}

const base = { base: 'https://terminals.example', userId: 'ada' }

export const accepted: ConnectTerminalOptions[] = [
  { ...base, WebSocket },
  { ...base, WebSocket: Proxied },
]

export const connected: Promise<TerminalConnection> = connectTerminal({ ...base, WebSocket })
