import { describe } from 'vitest'
import { describeCommand } from '../cli/suite.ts'
import { hasTmux } from '../cli/tmux.ts'
import type { Subject } from './cases.ts'
import { describeCases } from './suite.ts'

// Set by vitest.config.mjs.
const { subject, testsCommand } = JSON.parse(process.env['UPSTREAM'] ?? '') as {
  subject: Subject
  testsCommand: boolean
}

if (testsCommand) {
  describe.runIf(hasTmux)('the command in a terminal', () => describeCommand(subject.name, subject.url))
}

describeCases(subject)
