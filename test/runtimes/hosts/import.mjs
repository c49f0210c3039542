// Runs in Node, Bun and Deno, with the copy of the package for import.
import * as library from 'terminal-upstream'
import * as command from 'terminal-upstream/command'
import * as probe from 'terminal-upstream/probe'
import { runSuite } from '../suite.mjs'

console.log(JSON.stringify(await runSuite({ ...library, ...command, ...probe }, JSON.parse(process.argv[2]))))
