import { describe, expect, it } from 'vitest'
import { connectTerminal, createTerminalSession, type TerminalConnection } from '../../src/index.ts'
import type { TestInner, TestRelease, TestShell, TestUpstreamOptions } from '../../src/testing.ts'
import { clientTo, startProxy } from '../support/proxy.ts'
import { afterwards, clientOf, outputWith, rejection, upstreamOf } from '../support/upstream.ts'

const ORCHESTRATORS = ['terminals@0.0.2', 'terminals@0.0.3', 'terminals@0.2.2'] as const
const STRICT = ['open-terminal@0.14', 'open-terminal@0.14.2', 'open-terminal@0.14.5'] as const
const LENIENT = ['open-terminal@0.8.1', 'open-terminal@0.11'] as const

const REFUSED = ORCHESTRATORS.flatMap((release) => STRICT.map((inner) => [release, inner] as const))
const KEPT: ReadonlyArray<readonly [TestRelease, TestInner | undefined]> = [
  ...ORCHESTRATORS.flatMap((release) => LENIENT.map((inner) => [release, inner] as const)),
  ...[...STRICT, ...LENIENT].map((release) => [release, undefined] as const),
]

/** A shell that prints nothing of its own, and one that prompts. */
const silent: TestShell = ({ output }) => ({ input: (data) => void output(data) })
const prompting: TestShell = (io) => {
  void io.output('$ ')
  return silent(io)
}

// As long as an orchestrator takes to notice that its own connection was refused, and longer.
const settle = 400

async function use(terminal: TerminalConnection): Promise<void> {
  afterwards(terminal)
  await terminal.write('hello')
  await outputWith(terminal, 'hello')
}

async function useProxied(server: TestUpstreamOptions): Promise<string | undefined> {
  const upstream = await upstreamOf(server)
  const proxy = await startProxy(() => ({ ...clientOf(upstream), settle, chatId: '7' }))
  const client = await clientTo(proxy)
  client.ws.send(Buffer.from('hello'))
  await client.printed('hello')
  client.ws.close()
  const summary = await proxy.served[0]?.summary
  expect(upstream.sessions).toEqual([])
  return summary?.chatId
}

describe.each([
  ['prompts', prompting],
  ['is silent', silent],
] as const)('a chat, where the shell %s,', (_what, shell) => {
  it.each(REFUSED)(
    'does not cost the terminal of %s in front of %s, which opens without it',
    async (release, inner) => {
      const upstream = await upstreamOf({ release, inner, shell })
      const terminal = await connectTerminal({ ...clientOf(upstream), settle, chatId: '7' })
      await use(terminal)
      expect(terminal.chatId).toBeUndefined()
      // The session with the chat is gone.
      expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, chatId: '' }])
      await terminal.close()
      expect(upstream.sessions).toEqual([])
    },
  )

  it.each(KEPT)('is kept by %s (inside: %s)', async (release, inner) => {
    const upstream = await upstreamOf({ release, inner, shell })
    const terminal = await connectTerminal({ ...clientOf(upstream), settle, chatId: '7' })
    await use(terminal)
    expect(terminal.chatId).toBe('7')
    expect(upstream.sessions).toMatchObject([{ id: terminal.sessionId, chatId: '7' }])
    expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })

  it('is dropped and kept by a proxy in the same way', async () => {
    expect(await useProxied({ release: 'terminals@0.2.2', shell })).toBeUndefined()
    expect(await useProxied({ release: 'open-terminal@0.14.5', shell })).toBe('7')
  })
})

it('the terminal of a session without a chat has no chat', async () => {
  const upstream = await upstreamOf()
  const terminal = await connectTerminal(clientOf(upstream))
  afterwards(terminal)
  expect(terminal.chatId).toBeUndefined()
})

it.each(ORCHESTRATORS)(
  "a session of the caller's own with a chat is refused by %s, and left alone",
  async (release) => {
    const upstream = await upstreamOf({ release, inner: 'open-terminal@0.14.5' })
    const client = { ...clientOf(upstream), settle, chatId: '7' }
    const { id: sessionId } = await createTerminalSession(client)
    const error = await rejection(connectTerminal({ ...client, sessionId }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 })
    expect(error.message).toContain('when it was created with a `chatId`: leave `sessionId` out')
    expect(upstream.sessions).toMatchObject([{ id: sessionId, chatId: '7' }])
  },
)

it('a chat that the server does not let in is replaced only once', async () => {
  const upstream = await upstreamOf({ faults: { attach: { refuse: 1000 } } })
  const error = await rejection(connectTerminal({ ...clientOf(upstream), settle, chatId: '7' }))
  expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 })
  expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(2)
  expect(upstream.sessions).toEqual([])
})

it('a session that another client holds behind an orchestrator is refused, and left to that client', async () => {
  const upstream = await upstreamOf({ shell: silent })
  const first = await connectTerminal(clientOf(upstream))
  const again = { ...clientOf(upstream), settle, sessionId: first.sessionId }
  expect(await rejection(connectTerminal(again))).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', closeCode: 1000 })
  await use(first)
})
