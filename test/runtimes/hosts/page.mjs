// Runs in a browser, in a page that vite has built.
import * as library from 'terminal-upstream'
import { runSuite } from '../suite.mjs'

globalThis.runSuite = async (upstreams) => JSON.stringify(await runSuite(library, upstreams))
