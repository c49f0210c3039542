import { afterAll, vi } from 'vitest'
import { startTestUpstream, type TestShell } from '../../src/testing.ts'
// @ts-expect-error -- the example is plain JavaScript
import { shellWithTerminal } from '../examples/web/shell.mjs'
import { KEY } from '../support/raw-client.ts'
import { describeCommand } from './suite.ts'

vi.setConfig({ testTimeout: 60_000 })

for (const release of ['open-terminal@0.11', 'open-terminal@0.14.5', 'terminals@0.2.2'] as const) {
  const upstream = await startTestUpstream({ release, key: KEY, shell: shellWithTerminal as TestShell, policies: [] })
  afterAll(() => upstream.close())
  describeCommand(release, upstream.url)
}
