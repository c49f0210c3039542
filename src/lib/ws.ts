// Not by name: bundles often declare `createRequire` themselves.
import nodeModule from 'node:module'
import { dirname, join } from 'node:path'
import * as found from 'ws'

/**
 * Returns `ws` if that is what was found. Jest with jsdom finds its file for browsers, which has no classes. Then the
 * file for Node is loaded by its path.
 */
export function loadWs(module: object): Pick<typeof found, 'WebSocket' | 'WebSocketServer'> {
  if ('WebSocketServer' in module) return found
  const load = nodeModule.createRequire(import.meta.url)
  return load(join(dirname(load.resolve('ws/package.json')), 'index.js'))
}

const ws = loadWs(found)
export const WebSocket: typeof found.WebSocket = ws.WebSocket
export const WebSocketServer: typeof found.WebSocketServer = ws.WebSocketServer
