// In a browser, as vite builds it.
import * as library from 'terminal-upstream'
import { runSuite } from '../suite.mjs'

globalThis.runSuite = async (upstreams) => JSON.stringify(await runSuite(library, upstreams))
