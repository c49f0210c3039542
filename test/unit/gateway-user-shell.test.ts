import { describe, expect, it } from 'vitest'
import type { TerminalGatewayOptions } from '../../src/gateway.ts'
import { connectTerminal } from '../../src/index.ts'
import type { TestShell, TestUpstreamOptions } from '../../src/testing.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { sessionOf } from '../support/parking.ts'
import {
  as,
  attachAs,
  attached,
  createAs,
  pageOf,
  startGateway,
  startPromptGateway,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'
import { askShellOf, USER_SHELL_ANSWERS, type AskShell } from '../support/user-shell.ts'

const JSON_BODY = { 'content-type': 'application/json' }
const NO_SHELL = { status: 404, body: { detail: 'No connected user shell' } }
const CHAT = { 'x-session-id': 'chat-1' }

async function start(options: Partial<TerminalGatewayOptions> = {}, server?: TestUpstreamOptions) {
  const gateway = await startGateway(options, server)
  return { gateway, ask: askShellOf(gateway.base, as('ada')) }
}

function typeWith(ask: AskShell, input: string, headers: Record<string, string> = {}): ReturnType<AskShell> {
  return ask('POST', 'input', { ...JSON_BODY, ...headers }, JSON.stringify({ input }))
}

/** Creates a session and joins a client to it. */
async function open(gateway: ServedGateway, headers: Record<string, string> = {}, prefix = '') {
  const id = await createAs({ base: gateway.base + prefix }, { ...as('ada'), ...headers })
  const client = await attachAs(gateway, id, { token: 'jwt-ada', chat_id: headers['x-session-id'] })
  await until(() => sessionOf(gateway, id)?.attachedSince !== undefined)
  return { id, ...client }
}

describe("the user's shell (PROTOCOL 2.17 and 2.23)", () => {
  it('answers as the real server does', async () => {
    const { gateway, ask } = await start()
    await open(gateway)
    for (const [method, path, headers, body, status, answer, allow = null] of USER_SHELL_ANSWERS) {
      expect(await ask(method, path, headers, body), `${method} ${path} ${body}`).toEqual({
        status,
        allow,
        body: answer,
      })
    }
  })

  it('is the newest one that has a client, and its output is the last 64 KiB', async () => {
    const { gateway, ask } = await start()
    expect(await ask('GET', 'output')).toMatchObject(NO_SHELL)
    await createAs(gateway)
    expect(await ask('GET', 'output')).toMatchObject(NO_SHELL)
    const first = await open(gateway)
    const second = await open(gateway)
    expect(await typeWith(ask, 'grüße \x1b[1m')).toMatchObject({ status: 200, body: { status: 'ok' } })
    await second.printed('grüße \x1b[1m')
    expect(await ask('GET', 'output')).toMatchObject({ status: 200, body: { output: 'grüße \x1b[1m' } })
    second.ws.close()
    await until(() => sessionOf(gateway, second.id)?.parkedSince !== undefined)
    await typeWith(ask, 'to the first')
    await first.printed('to the first')
    const text = Array.from({ length: 20_000 }, (_, number) => `line ${number}\r\n`).join('')
    await gateway.upstream.sessions[1]?.output(text)
    await first.printed('line 19999\r\n')
    expect((await ask('GET', 'output')).body).toEqual({ output: text.slice(-64 * 1024) })
  })

  it.each<[string, Record<string, string>, string]>([
    ['chat', CHAT, ''],
    ['context', { 'x-terminal-context-id': 'chat:chat-1' }, ''],
    ['policy', {}, '/p/python'],
  ])('is one of the same %s, as `authorize` returns it', async (_, headers, prefix) => {
    const gateway = await startPromptGateway({}, { release: 'terminals@0.2.2' })
    const ask = askShellOf(gateway.base, as('ada'))
    const asked = askShellOf(gateway.base + prefix, { ...as('ada'), ...headers })
    await open(gateway)
    expect(await asked('GET', 'output')).toMatchObject(NO_SHELL)
    const { printed } = await open(gateway, headers, prefix)
    expect(await typeWith(asked, 'for this one')).toMatchObject({ status: 200 })
    await printed('for this one')
    expect((await ask('GET', 'output')).body).toEqual({ output: '$ ' })
    expect((await asked('GET', 'output')).body).toEqual({ output: '$ for this one' })
    const others = askShellOf(gateway.base + prefix, { ...as('eve'), ...headers })
    expect(await others('GET', 'output')).toMatchObject(NO_SHELL)
  })

  it('also is one on a server that does not serve it, and one behind another gateway', async () => {
    const inner = await startGateway({}, { release: 'open-terminal@0.11' })
    const { gateway, ask } = await start({ authorize: () => ({ ...pageOf(inner), chatId: undefined }) })
    const { printed } = await open(gateway)
    await typeWith(ask, 'x'.repeat(60 * 1024))
    await printed('x'.repeat(60 * 1024))
    expect((await ask('GET', 'output')).body).toMatchObject({ output: expect.stringContaining('x'.repeat(60 * 1024)) })
    expect(inner.upstream.sessions).toHaveLength(1)
  })

  it('refuses a body that is too large, before it has all of it', async () => {
    const { gateway, ask } = await start()
    await open(gateway)
    expect((await typeWith(ask, 'x'.repeat(64 * 1024 - 12))).status).toBe(200)
    expect(await typeWith(ask, 'x'.repeat(64 * 1024 - 11))).toMatchObject({
      status: 413,
      body: { detail: 'Content Too Large' },
    })
  })

  it('goes on dropping a body that is far too large', async () => {
    const { gateway, ask } = await start()
    await open(gateway)
    const answer = await typeWith(ask, 'x'.repeat(4 * 1024 * 1024)).catch(() => undefined)
    // The connection ends while the client still sends, so it may not have read the answer.
    expect(answer?.status ?? 413).toBe(413)
    expect(await typeWith(ask, 'after it')).toMatchObject({ status: 200 })
  })

  it.each<[string, string | Uint8Array<ArrayBuffer>, number, object]>([
    [
      'bytes that are no UTF-8',
      Uint8Array.of(0x22, 0xff, 0x22),
      400,
      { detail: 'There was an error parsing the body' },
    ],
    ['half a character', '{"input":"\\ud800"}', 422, { detail: [{ type: 'string_unicode', loc: ['body', 'input'] }] }],
  ])('types nothing of %s', async (_, body, status, answer) => {
    const { gateway, ask } = await start()
    const { bytes } = await open(gateway)
    expect(await ask('POST', 'input', JSON_BODY, body)).toMatchObject({ status, body: answer })
    expect(bytes()).toHaveLength(0)
  })

  describe('whose program does not read', () => {
    const STALLED = { status: 409, body: { detail: 'User shell does not read its input' } }

    async function stall() {
      const shell: TestShell = () => ({ input: () => new Promise(() => {}) })
      const { gateway, ask } = await start({}, { release: 'open-terminal@0.11', shell })
      await open(gateway)
      let hasAnswered = false
      const answer = typeWith(ask, 'x'.repeat(60 * 1024)).finally(() => (hasAnswered = true))
      await until(() => gateway.upstream.requests.some(({ path }) => path.endsWith('/user/output')))
      return { gateway, ask, answer, hasAnswered: () => hasAnswered }
    }

    it('takes input for 5 s, and no more than 64 KiB', async () => {
      const refusals = recordRefusals()
      const { ask, answer, hasAnswered } = await stall()
      expect(await typeWith(ask, 'y'.repeat(10 * 1024))).toMatchObject(STALLED)
      expect(hasAnswered()).toBe(false)
      expect(await answer).toMatchObject(STALLED)
      const refused = { status: 409, reason: 'upstream', userId: 'ada' }
      expect(refusals).toEqual([refused, refused])
    })

    it('says when it ends meanwhile', async () => {
      const { gateway, answer } = await stall()
      gateway.upstream.sessions[0]?.close(1000)
      expect(await answer).toMatchObject({ status: 409, body: { detail: 'User shell has disconnected' } })
    })
  })

  it('answers a page before its request, and no page of another origin', async () => {
    const Origin = 'https://chat.example'
    const { gateway } = await start({ origins: [Origin] })
    const url = `${gateway.base}/api/terminals/user/input`
    const { status, headers } = await fetch(url, { method: 'OPTIONS', headers: { Origin } })
    expect([status, headers.get('access-control-allow-methods')]).toEqual([204, 'POST'])
    expect((await fetch(url, { method: 'POST', headers: { Origin: 'https://evil.example' } })).status).toBe(403)
  })

  it('is asked for by no WebSocket', async () => {
    const { gateway } = await attached()
    const client = attachAs(gateway, 'user/output')
    await expect(client).rejects.toThrow('404')
  })

  it('is found by a page that uses the library', async () => {
    const { gateway, ask } = await start()
    await using terminal = await connectTerminal(pageOf(gateway))
    await until(() => sessionOf(gateway, terminal.sessionId)?.attachedSince !== undefined)
    expect((await typeWith(ask, 'hello')).status).toBe(200)
  })
})
