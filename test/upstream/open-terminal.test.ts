import { describe } from 'vitest'
import { describeCommand } from '../cli/suite.ts'
import { hasTmux } from '../cli/tmux.ts'
import type { Subject } from './cases.ts'
import { describeCases } from './suite.ts'

// Set by run.mjs, which starts the servers.
const subjects = JSON.parse(process.env['UPSTREAMS'] ?? '[]') as Subject[]

for (const subject of subjects) describeCases(subject)

// The oldest release is silent when the shell ends, the newest announces it. The command must handle both.
describe.runIf(hasTmux)('the command in a terminal', () => {
  for (const { name, url } of new Set([subjects[0], subjects.at(-1)].flatMap((subject) => subject ?? []))) {
    describeCommand(name, url)
  }
})
