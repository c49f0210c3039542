import { describe, expect, it, vi } from 'vitest'
import type { ProbeOptions } from '../../src/probe.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { prompting } from '../support/attach.ts'
import { NEWEST, probe, TERMINALS } from '../support/probe.ts'
import { pageOf, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 20_000 })

const QUICK_SHELL: TestUpstreamOptions = { shell: prompting }

/** Returns options with which the probe asks a gateway as its user. */
function userOf(served: Pick<ServedGateway, 'base'>): Pick<ProbeOptions, 'authType' | 'key'> {
  const { authType, key } = pageOf(served)
  return { authType, key }
}

describe('probeUpstream in front of a gateway', () => {
  // PROTOCOL 8.1 and 8.2
  it.each([TERMINALS, NEWEST, 'open-terminal@0.11'] as const)('recognizes it, with %s behind it', async (release) => {
    const served = await startGateway({ authTimeout: 50 }, { ...QUICK_SHELL, release })
    const report = await probe(served.base, userOf(served))
    expect(report).toMatchObject({ ok: true, works: 'frame', family: 'gateway' })
    await until(() => served.upstream.sessions.length === 0)
  })

  it('does not test a second user: `authorize` knows who the user is', async () => {
    const served = await startGateway({ authTimeout: 50 }, QUICK_SHELL)
    const { checks } = await probe(served.base, userOf(served))
    const detail = 'not tested: the gateway itself knows who the user is'
    expect(checks.find(({ name }) => name === 'other-user')).toMatchObject({ outcome: 'skipped', detail })
  })
})
