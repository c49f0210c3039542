// Runs in Node, Bun and Deno, with the runtime's WebSocket class instead of `ws`. Prints nothing in a runtime without
// one.
import * as library from 'terminal-upstream'
import { runSuite } from '../suite.mjs'

const { WebSocket } = globalThis
if (WebSocket) console.log(JSON.stringify(await runSuite(library, JSON.parse(process.argv[2]), { WebSocket })))
