// In Node, Bun and Deno, with the runtime's own class instead of `ws`; prints nothing where there is none.
import * as library from 'terminal-upstream'
import { runSuite } from '../suite.mjs'

const { WebSocket } = globalThis
if (WebSocket) console.log(JSON.stringify(await runSuite(library, JSON.parse(process.argv[2]), { WebSocket })))
