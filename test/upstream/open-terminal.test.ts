import type { Subject } from './cases.ts'
import { describeCases } from './suite.ts'

// Set by run.mjs, which starts the servers.
const subjects = JSON.parse(process.env['UPSTREAMS'] ?? '[]') as Subject[]

for (const subject of subjects) describeCases(subject)
