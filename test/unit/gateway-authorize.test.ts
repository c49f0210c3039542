import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/index.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { ask, attachAs, closeOf, createAs, startGateway, type } from '../support/terminal-gateway.ts'
import { clientOf, upstreamOf } from '../support/upstream.ts'

failOnUnhandledErrors()

/** Throws whatever is done with it. */
const hostile = new Proxy(() => {}, {
  get() {
    throw new Error('get')
  },
  has() {
    throw new Error('has')
  },
  getPrototypeOf() {
    throw new Error('getPrototypeOf')
  },
})

describe('what `authorize` returns', () => {
  it('is read at once, and each field once', async () => {
    const upstream = await upstreamOf({ faults: { create: { delay: 30 } } })
    const { base, key } = clientOf(upstream)
    const reads: string[] = []
    const gateway = await startGateway({
      authorize: () => {
        const fields = { base, key, userId: 'ada' }
        const returned = new Proxy(fields, {
          get(target, name) {
            if (name in target) reads.push(String(name))
            return Reflect.get(target, name)
          },
        })
        // Later, it would lead somewhere else.
        setImmediate(() => Object.assign(fields, { base: 'http://127.0.0.1:9', key: 'other', userId: 'eve' }))
        return returned
      },
    })
    expect((await ask(gateway, 'POST')).status).toBe(200)
    expect(reads.sort()).toEqual(['base', 'key', 'userId'])
    expect(gateway.gateway.sessions).toMatchObject([{ userId: 'ada' }])
  })

  it('may be nothing but UpstreamOptions: everything else is ignored, and the operator is told so once', async () => {
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      authorize: () => ({ ...clientOf(upstream), sessionId: 's1', deleteOnClose: false }),
    })
    const warned = once(process, 'warning')
    const [first, second] = [await createAs(gateway), await createAs(gateway)]
    expect(upstream.requests.filter(({ method }) => method === 'POST')).toHaveLength(2)
    const [{ message, name }] = (await warned) as [Error]
    expect([name, message]).toEqual([
      'TerminalGatewayWarning',
      '`authorize` of a terminal gateway returned `settle`, `sessionId`, `deleteOnClose`, which has no effect. ' +
        'It may return base, authType, key, userId, policyId, contextId, chatId, cookie, headers.',
    ])
    for (const id of [first, second]) await ask(gateway, 'DELETE', `/${id}`)
    expect(upstream.sessions).toEqual([])
  })

  it('may be a copy of what a client has sent, whose names control no terminal of the operator', async () => {
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      authorize: () => ({ ...clientOf(upstream), ...JSON.parse('{"\\u001b[2J\\n\\u009b":1}') }),
    })
    const warned = once(process, 'warning')
    await ask(gateway, 'GET')
    const [{ message }] = (await warned) as [Error]
    expect(message).toMatch(/ returned `settle`, a field of another name, which has no effect\. /)
    expect(message).not.toMatch(/\p{Cc}/u)
  })

  it.each([
    ['a slash at the end', (base: string) => `${base}/`],
    ['another scheme', (base: string) => base.replace('http:', 'ws:')],
    ['a scheme in capitals', (base: string) => base.replace('http:', 'HTTP:')],
    ['a fragment', (base: string) => `${base}#there`],
    ['a path that leads nowhere', (base: string) => `${base}/a/..`],
    ['a parameter of ours', (base: string) => `${base}?user_id=eve`],
    ['a URL object', (base: string) => new URL(base)],
  ])('names the same upstream with %s', async (_, respell) => {
    const upstream = await upstreamOf()
    const options = clientOf(upstream)
    const gateway = await startGateway({
      authorize: ({ token }) => ({ ...options, base: token === 'one' ? options.base : respell(options.base) }),
    })
    const id = await createAs(gateway, { Authorization: 'Bearer one' })
    expect((await ask(gateway, 'GET', `/${id}`, { Authorization: 'Bearer two' })).status).toBe(200)
  })
})

const AGAIN = { code: 1013, reason: 'Not authorized, try again later' }

describe('an `authorize` that throws', () => {
  it.each<[string, () => unknown]>([
    ['an Error', () => new Error('connection pool exhausted')],
    ['a TypeError', () => new TypeError('rows is undefined')],
    ['a TerminalError that is no refusal', () => new TerminalError('ERR_TERMINAL_UNAVAILABLE', 'sso is down')],
    ['nothing', () => undefined],
  ])('%s once, while a client comes back, costs the client one more try', async (_, thrown) => {
    let mayFail = false
    const upstream = await upstreamOf()
    const gateway = await startGateway({
      authorize: () => {
        if (mayFail) throw thrown()
        return clientOf(upstream)
      },
    })
    const id = await createAs(gateway)
    mayFail = true
    expect(await ask(gateway, 'DELETE', `/${id}`)).toMatchObject({
      status: 503,
      body: { error: 'Not authorized, try again later' },
    })
    expect(await closeOf(gateway, id)).toEqual(AGAIN)
    mayFail = false
    await type(await attachAs(gateway, id), 'back')
  })

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', 'ERR_TERMINAL_CLOSED'])(
    'a TerminalError with the code %s is answered with 503 and 1013',
    async (code) => {
      const gateway = await startGateway({
        authorize: () => {
          throw new TerminalError(code as never, 'secret')
        },
      })
      for (const method of ['GET', 'POST']) expect((await ask(gateway, method)).status).toBe(503)
      expect(await closeOf(gateway, 's1')).toEqual(AGAIN)
    },
  )

  it('a value that cannot be read is answered with 503 and 1013, and so is one that returns it', async () => {
    for (const authorize of [() => Promise.reject(hostile), (): never => hostile as never]) {
      const gateway = await startGateway({ authorize })
      for (const method of ['GET', 'POST']) expect((await ask(gateway, method)).status).toBe(503)
      expect(await closeOf(gateway, 's1')).toEqual(AGAIN)
    }
  })

  it('from the function that it has returned as `key` is answered with 500', async () => {
    const upstream = await upstreamOf()
    const key = (): never => {
      throw hostile
    }
    const gateway = await startGateway({ authorize: () => ({ ...clientOf(upstream), key }) })
    expect((await ask(gateway, 'POST')).status).toBe(500)
  })
})
