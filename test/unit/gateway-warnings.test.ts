import { describe, expect, it, vi } from 'vitest'
import { Warnings } from '../../src/gateway/warnings.ts'
import { TerminalError, type UpstreamOptions } from '../../src/index.ts'
import type { TestFaults } from '../../src/testing.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { as, ask, attachAs, createAs, startGateway, type ServedGateway } from '../support/terminal-gateway.ts'
import { clientOf, until, upstreamOf } from '../support/upstream.ts'
import { recordWarnings, warned } from '../support/warnings.ts'

failOnUnhandledErrors()

const NOT_ACCEPTED = 'Not accepted by the terminal server'

/** Starts a gateway whose upstream wants another key. */
async function withWrongKey(more: Partial<UpstreamOptions> = {}): Promise<ServedGateway> {
  const upstream = await upstreamOf()
  return startGateway({ authorize: () => ({ base: upstream.url, key: 'wrong-canary', userId: 'ada', ...more }) })
}

describe('an upstream that refuses the credentials', () => {
  it.each(['bearer', 'none'] as const)(
    'of the operator (%s) is a warning, and 500 for the client',
    async (authType) => {
      const warnings = recordWarnings()
      const refusals = recordRefusals()
      const gateway = await withWrongKey({ authType })
      for (let count = 0; count < 3; count += 1) {
        expect(await ask(gateway, 'POST')).toMatchObject({ status: 500, body: { error: NOT_ACCEPTED } })
      }
      await warned()
      expect(warnings).toHaveLength(1)
      expect(warnings[0]?.code).toBe('ERR_TERMINAL_UNAUTHORIZED')
      expect(warnings[0]?.message).toMatch(
        /^An upstream does not let a terminal gateway in\. Cannot create a terminal session at http:\/\/127\.0\.0\.1:\d+\/api\/terminals: HTTP 401, "[\w ]+"\. .*`key`/,
      )
      expect(refusals[0]).toMatchObject({
        reason: 'upstream',
        status: 500,
        error: { code: 'ERR_TERMINAL_UNAUTHORIZED' },
      })
    },
  )

  it.each(['session', 'system_oauth'] as const)(
    'of the user (%s) is 401 for the client, and no warning',
    async (authType) => {
      const warnings = recordWarnings()
      const refusals = recordRefusals()
      expect(await ask(await withWrongKey({ authType }), 'POST')).toMatchObject({
        status: 401,
        body: { detail: 'Invalid API key' },
      })
      await warned()
      expect(warnings).toEqual([])
      expect(refusals).toMatchObject([{ reason: 'upstream', status: 401 }])
    },
  )

  it.each([
    ['bearer', { code: 4003, reason: NOT_ACCEPTED }, 1],
    ['session', { code: 4001, reason: 'Not authorized' }, 0],
  ] as const)('of a terminal that is open (%s) says so to its client, too', async (authType, end, count) => {
    const warnings = recordWarnings()
    const upstream = await upstreamOf({ release: 'open-terminal@0.14.5' })
    const gateway = await startGateway({ authorize: () => ({ ...clientOf(upstream), authType }) })
    const { closed } = await attachAs(gateway, await createAs(gateway))
    await until(() => gateway.gateway.sessions[0]?.attachedSince !== undefined)
    upstream.sessions[0]?.close(4001, 'Invalid API key')
    expect(await closed).toEqual(end)
    await warned()
    expect(warnings.filter(({ code }) => code === 'ERR_TERMINAL_UNAUTHORIZED')).toHaveLength(count)
  })

  // PROTOCOL 2.11, 2.18 and 2.21
  it.each([
    [404, 'Not Found', /Check the path of the URL/],
    [404, "Policy 'gold' not found", /Check `policyId`/],
    [400, 'X-User-Id is required in multi-user mode', /passes X-User-Id/],
  ])('or something else for a new session (%i, %s) is a warning, too', async (refuse, detail, advice) => {
    const warnings = recordWarnings()
    const gateway = await startGateway({}, { faults: { create: { refuse, body: JSON.stringify({ detail }) } } })
    expect(await ask(gateway, 'POST')).toMatchObject({ status: 500, body: { error: NOT_ACCEPTED } })
    await warned()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.message).toMatch(/^An upstream does not accept what a terminal gateway sends\. /)
    expect(warnings[0]?.message).toMatch(advice)
  })

  it('with a DELETE is a warning, too: the shell lives', async () => {
    const warnings = recordWarnings()
    const faults: TestFaults = {}
    const gateway = await startGateway({}, { faults })
    const id = await createAs(gateway)
    faults.delete = faults.get = { refuse: 401 }
    expect((await ask(gateway, 'DELETE', `/${id}`)).status).toBe(503)
    await warned()
    expect(warnings.filter(({ code }) => code === 'ERR_TERMINAL_UNAUTHORIZED')).toHaveLength(1)
    faults.delete = faults.get = undefined
  })
})

describe('an `authorize` that returns', () => {
  it.each<[string, object, string]>([
    ['a user id that is a number', { userId: 42 }, '`userId` must be a string, got number'],
    ['no user id', { userId: undefined }, '`userId` must be a string, got undefined'],
    ['a user id with a letter that no header can have', { userId: 'Łucja' }, '`userId` must be a header: '],
    ['a key that is a number', { key: 7 }, '`key` must be a string'],
    ['an unknown auth type', { authType: 'basic' }, '`authType` must be one of '],
    ['no base', { base: undefined }, '`base` must be an absolute http(s) or ws(s) URL: got undefined'],
    ['a policy that is a number', { policyId: 7 }, '`policyId` must be a string'],
    ['a context without a name', { contextId: '' }, '`contextId` must not be empty'],
  ])('%s is a warning, and 500 or 4003 for the client', async (_, wrong, why) => {
    const warnings = recordWarnings()
    const refusals = recordRefusals()
    const options = { base: 'http://127.0.0.1:9', key: 'sk-canary', userId: 'ada', ...wrong }
    const gateway = await startGateway({ authorize: () => options })
    for (const method of ['GET', 'POST']) {
      expect(await ask(gateway, method)).toMatchObject({ status: 500, body: { error: NOT_ACCEPTED } })
    }
    expect(await (await attachAs(gateway, 's1')).closed).toEqual({ code: 4003, reason: NOT_ACCEPTED })
    await warned()
    expect(warnings).toMatchObject([
      {
        code: 'TERMINAL_GATEWAY_RETURNED',
        message: expect.stringContaining(`has returned what cannot be used: ${why}`),
      },
    ])
    await until(() => refusals.length === 3)
    for (const each of refusals) expect(each).toMatchObject({ reason: 'unauthorized', error: { name: 'TypeError' } })
  })

  it.each<[string, () => unknown, string]>([
    ['an error', () => Object.assign(new Error('no token for sk-canary'), { code: 'EVAULT' }), 'Error EVAULT at '],
    ['a string', () => 'sk-canary', 'a value of the type string'],
  ])('headers whose getter throws %s is a warning, and does not show what it throws', async (_, thrown, kind) => {
    const warnings = recordWarnings()
    const headers = {
      get cookie(): string {
        throw thrown()
      },
    }
    const gateway = await startGateway({ authorize: () => ({ base: 'http://127.0.0.1:9', userId: 'ada', headers }) })
    expect(await ask(gateway, 'POST')).toMatchObject({ status: 500, body: { error: NOT_ACCEPTED } })
    await warned()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.message).toContain(`has returned what cannot be used: ${kind}`)
    expect(warnings[0]?.message).not.toContain('canary')
  })

  it('a `key()` that throws is a warning, and does not show what it throws', async () => {
    const warnings = recordWarnings()
    const upstream = await upstreamOf()
    const key = (): never => {
      throw Object.assign(new Error('no token for sk-canary'), { code: 'EVAULT' })
    }
    const gateway = await startGateway({ authorize: () => ({ base: upstream.url, userId: 'ada', key }) })
    expect(await ask(gateway, 'POST')).toMatchObject({ status: 500, body: { error: NOT_ACCEPTED } })
    await warned()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.message).toMatch(
      /`key` has failed: Error EVAULT at .*gateway-warnings\.test\.ts:\d+:\d+\. Return/,
    )
  })
})

describe('an `authorize` that', () => {
  it.each<[string, () => unknown, RegExp]>([
    [
      'an Error',
      () => new TypeError('no rows for sk-canary'),
      /failed: TypeError at .*gateway-warnings\.test\.ts:\d+:\d+\. /,
    ],
    [
      'an Error with lines',
      () => new RangeError('at a:1:1\n    at sk-canary:1:1'),
      /failed: RangeError at .*test\.ts:\d+/,
    ],
    ['a code', () => Object.assign(new Error('sk-canary'), { code: 'ECONNREFUSED' }), /failed: Error ECONNREFUSED at /],
    [
      'another TerminalError',
      () => new TerminalError('ERR_TERMINAL_PROTOCOL', 'sk-canary'),
      /ERR_TERMINAL_PROTOCOL at /,
    ],
    ['a string', () => 'sk-canary', /failed: a value of the type string\. /],
    [
      'an Error whose message has changed after its stack was made',
      () => {
        const error = new Error('no user\n    at sk-canary:1:1')
        Object.assign(error, { stack: String(error.stack) })
        error.message = `denied: ${error.message}`
        return error
      },
      /failed: Error\. /,
    ],
    [
      'an Error with frames that control a terminal',
      () => Object.assign(new Error(''), { stack: 'Error\n    at \u001b[2J:1:1\n    at f (/a.js:1:2)' }),
      /failed: Error at \/a\.js:1:2\. /,
    ],
    ['nothing', () => undefined, /failed: a value of the type undefined\. /],
  ])('throws %s is a warning that does not show what it says', async (_, thrown, message) => {
    const warnings = recordWarnings()
    const gateway = await startGateway({
      authorize: () => {
        throw thrown()
      },
    })
    expect((await ask(gateway, 'POST')).status).toBe(503)
    expect((await ask(gateway, 'GET')).status).toBe(503)
    expect((await (await attachAs(gateway, 's1')).closed).code).toBe(1013)
    await warned()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatchObject({ code: 'TERMINAL_GATEWAY_FAILED', message: expect.stringMatching(message) })
    expect(warnings[0]?.message).toContain('To refuse a client, throw a TerminalError')
  })

  it('does not answer in time is a warning', async () => {
    const warnings = recordWarnings()
    const gateway = await startGateway({ authTimeout: 20, authorize: () => new Promise(() => {}) })
    expect((await ask(gateway, 'POST')).status).toBe(503)
    await warned()
    expect(warnings).toMatchObject([{ message: expect.stringContaining('has failed: no answer within 20 ms. ') }])
  })

  it.each(['UNAUTHORIZED', 'FORBIDDEN', 'NOT_FOUND', 'MISSING_USER', 'LIMIT'] as const)(
    'refuses with ERR_TERMINAL_%s is no warning, nor is one whose client leaves',
    async (code) => {
      const warnings = recordWarnings()
      const gateway = await startGateway({
        authorize: ({ token }) => {
          if (token === 'jwt-bob') return new Promise(() => {})
          throw new TerminalError(`ERR_TERMINAL_${code}`, 'no')
        },
      })
      const left = await attachAs(gateway, 's1', { token: 'jwt-bob' })
      left.ws.terminate()
      await left.closed
      const leaving = AbortSignal.timeout(50)
      const url = `${gateway.base}/api/terminals`
      await expect(fetch(url, { headers: as('bob'), signal: leaving })).rejects.toThrow()
      await ask(gateway, 'GET')
      await (
        await attachAs(gateway, 's1')
      ).closed
      await warned()
      expect(warnings).toEqual([])
    },
  )
})

describe('a warning', () => {
  it('is given once a minute for each code and upstream, and not without end', async () => {
    const given = recordWarnings()
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const warnings = new Warnings()
      const warn = (code: string, base: string): void => warnings.warn(code, `${code} at ${base}`, base)
      for (let count = 0; count < 3; count += 1) {
        warn('A', 'http://one')
        warn('B', 'http://one')
        warn('A', 'http://two')
      }
      vi.advanceTimersByTime(59_000)
      warn('A', 'http://one')
      vi.advanceTimersByTime(2_000)
      warn('A', 'http://one')
      await warned()
      expect(given.map(({ message }) => message)).toEqual([
        'A at http://one',
        'B at http://one',
        'A at http://two',
        'A at http://one',
      ])
      for (let count = 0; count < 1_000; count += 1) warn('A', `http://user-${count}`)
      await warned()
      expect(given.length).toBeLessThan(110)
    } finally {
      vi.useRealTimers()
    }
  })

  it('about all clients is given, however many upstreams there are warnings about', async () => {
    const given = recordWarnings()
    const warnings = new Warnings()
    for (let count = 0; count < 1_000; count += 1) warnings.warn('A', 'refused', `http://user-${count}`)
    for (let count = 0; count < 3; count += 1) warnings.warn('B', 'authorize fails')
    await warned()
    expect(given.filter(({ code }) => code === 'B')).toHaveLength(1)
  })

  it('is left out where the process cannot warn', () => {
    vi.stubGlobal('process', {})
    try {
      expect(() => new Warnings().warn('A', 'lost')).not.toThrow()
    } finally {
      vi.unstubAllGlobals()
    }
  })
})
