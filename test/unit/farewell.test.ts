import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestInner, TestRelease, TestUpstream } from '../../src/testing.ts'
import { handshakes } from '../support/requests.ts'
import { orchestrators, ownServers } from '../support/raw-client.ts'
import { mute } from '../support/shells.ts'
import { connectTo, firstChunks, inputFrames, open, refusalOf } from '../support/terminal.ts'
import { attachAs, createAs, pageOf, startGateway } from '../support/terminal-gateway.ts'
import { afterwards, clientOf, until, upstreamOf } from '../support/upstream.ts'

const inners: TestInner[] = ['open-terminal@0.11', 'open-terminal@0.14', 'open-terminal@0.14.5']
const pairs = orchestrators.flatMap((release) => inners.map((inner): [TestRelease, TestInner] => [release, inner]))

/** Whether an upstream was asked to end the shell. */
function wasEnded(upstream: TestUpstream): boolean {
  return handshakes(upstream).some(({ frames }) => frames.includes('[]'))
}

/** The status of each DELETE. */
function deletions({ requests }: TestUpstream): unknown[] {
  return requests.filter(({ method }) => method === 'DELETE').map(({ status }) => status)
}

// PROTOCOL 6.7
describe.each(pairs)('a terminal of %s in front of %s', (release, inner) => {
  it('ends its shell over its connection before it deletes the session', async () => {
    const { terminal, upstream } = await open({ release, inner })
    expect(await terminal.close()).toEqual({ code: 1000, reason: '', cause: 'local' })
    expect(wasEnded(upstream)).toBe(true)
    expect(deletions(upstream)).toEqual([404])
    expect(handshakes(upstream).at(-1)?.closeCode).toBe(1000)
    expect(inputFrames(upstream)).toEqual([])
  })

  it('does so also when its shell has ended, and loses no output', async () => {
    const { terminal, upstream } = await open({ release, inner, shell: 'sh' })
    const output = firstChunks(terminal, Infinity)
    await terminal.write('echo last words; exit\n')
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
    expect(await output).toContain('last words\n')
    expect(upstream.sessions).toEqual([])
  })
})

describe.each<TestRelease>(ownServers)('a terminal of %s', (release) => {
  it('is closed as before: the server ends the shell with the connection, also by detach()', async () => {
    const { terminal, upstream } = await open({ release })
    await terminal.close()
    expect(wasEnded(upstream)).toBe(false)
    const other = await connectTo(upstream)
    await other.detach()
    await until(() => upstream.sessions.length === 0)
    expect(deletions(upstream)).toHaveLength(1)
  })
})

describe('the end of a terminal of an orchestrator', () => {
  it.each([
    ['close', false],
    ['detach', undefined],
    ['detach', true],
  ] as const)('keeps its session after %s() with `deleteOnClose: %j`', async (how, deleteOnClose) => {
    const { terminal, upstream } = await open({ release: 'terminals@0.2.2' }, { deleteOnClose })
    await terminal[how]()
    expect(wasEnded(upstream)).toBe(false)
    expect(deletions(upstream)).toEqual([])
    expect(upstream.sessions).toHaveLength(1)
  })

  it('ends the shell of a session that was named, if that is to be deleted', async () => {
    const upstream = await upstreamOf({ release: 'terminals@0.0.3' })
    const { sessionId, ...first } = await connectTerminal({ ...clientOf(upstream), deleteOnClose: false })
    await first.close()
    const terminal = await connectTerminal({ ...clientOf(upstream), sessionId, deleteOnClose: true })
    await terminal.close()
    expect(wasEnded(upstream)).toBe(true)
    expect(deletions(upstream)).toEqual([404])
  })

  it('takes 1 s at most if the server does not close', async () => {
    const { terminal, session, upstream } = await open({ release: 'terminals@0.2.2' })
    session.stall()
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
    await until(() => upstream.sessions.length === 0)
  })

  it.each([undefined, false])(
    'ends the shell of an attach that is given up (`deleteOnClose: %j`)',
    async (deleteOnClose) => {
      const upstream = await upstreamOf({ release: 'terminals@0.2.2', shell: mute })
      const controller = new AbortController()
      const { signal } = controller
      const refused = refusalOf(upstream, { settle: 60_000, timeout: 60_000, deleteOnClose, signal })
      await until(() => handshakes(upstream).some(({ frames }) => frames.length > 1))
      controller.abort(new Error('changed my mind'))
      expect(await refused).toMatchObject({ message: 'changed my mind' })
      expect(wasEnded(upstream)).toBe(true)
      expect(deletions(upstream)).toEqual([404])
    },
  )
})

describe('a gateway in front of an orchestrator', () => {
  it('ends the shells of its sessions so, and its own clients do not', async () => {
    const gateway = await startGateway({ keepFor: 0 }, { release: 'terminals@0.0.3' })
    const terminal = await connectTerminal(pageOf(gateway))
    afterwards(terminal)
    await terminal.close()
    await until(() => deletions(gateway.upstream).length === 1)
    expect(wasEnded(gateway.upstream)).toBe(true)
    const { ws } = await attachAs(gateway, await createAs(gateway))
    ws.close(1000)
    await until(() => deletions(gateway.upstream).length === 2)
    expect(deletions(gateway.upstream)).toEqual([404, 404])
  })
})
