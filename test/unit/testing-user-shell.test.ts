import { describe, expect, it } from 'vitest'
import { attach, KEY, lenient, start, strict, strictInside, USER } from '../support/raw-client.ts'
import { askShellOf, USER_SHELL_ANSWERS } from '../support/user-shell.ts'

const HEADERS = { authorization: `Bearer ${KEY}`, 'x-user-id': USER }
const JSON_BODY = { 'content-type': 'application/json' }

describe('user/output and user/input of the test upstream', () => {
  it('answer as the real server does', async () => {
    const upstream = await start({ release: 'open-terminal@0.14.5' })
    await attach(upstream)
    const ask = askShellOf(upstream.url, HEADERS)
    for (const [method, path, headers, body, status, answer, allow = null] of USER_SHELL_ANSWERS) {
      expect(await ask(method, path, headers, body), `${method} ${path} ${body}`).toEqual({
        status,
        allow,
        body: answer,
      })
    }
  })

  it.each([...strict.map((release) => ({ release })), ...strictInside])(
    'type into the shell of %j',
    async (options) => {
      const upstream = await start(options)
      const ask = askShellOf(upstream.url, HEADERS)
      const typed = (): Promise<unknown> => ask('POST', 'input', JSON_BODY, '{"input":"hello"}')
      expect(await typed()).toMatchObject({ status: 404, body: { detail: 'No connected user shell' } })
      const { printed, ws } = await attach(upstream)
      expect(await typed()).toMatchObject({ status: 200 })
      await printed('hello')
      expect(await ask('GET', 'output')).toMatchObject({ status: 200, body: { output: 'hello' } })
      expect(upstream.requests.filter(({ path }) => path.endsWith('/input')).at(-1)?.body).toBe('{"input":"hello"}')
      ws.close()
    },
  )

  it.each(lenient)('do not exist on %s', async (release) => {
    const upstream = await start({ release })
    await attach(upstream)
    const ask = askShellOf(upstream.url, HEADERS)
    expect(await ask('POST', 'input', JSON_BODY, '{"input":""}')).toMatchObject({
      status: 404,
      body: { detail: 'Not Found' },
    })
  })

  it('have faults of their own', async () => {
    const upstream = await start({ faults: { type: { refuse: 503, body: '{}' } } })
    await attach(upstream)
    const ask = askShellOf(upstream.url, HEADERS)
    expect((await ask('POST', 'input', JSON_BODY, '{"input":""}')).status).toBe(503)
    expect((await ask('GET', 'output')).status).toBe(200)
  })
})
