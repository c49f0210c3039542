// Runs in workerd, as one bundle.
import * as library from 'terminal-upstream'
import * as command from 'terminal-upstream/command'
import { runSuite } from '../suite.mjs'

export default {
  async fetch(request) {
    return Response.json(await runSuite({ ...library, ...command }, await request.json()))
  },
}
