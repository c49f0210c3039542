import { afterEach, describe, expect, it, vi } from 'vitest'
import { Warnings } from '../../src/gateway/warnings.ts'
import { connectTerminal, TerminalError, type UpstreamOptions } from '../../src/index.ts'
import type { TestFaults } from '../../src/testing.ts'
import { recordRefusals } from '../support/gateway-events.ts'
import { failOnUnhandledErrors } from '../support/proxy-unhandled.ts'
import { neverAuthorize } from '../support/proxy.ts'
import { openResumable } from '../support/resumable.ts'
import {
  ask,
  attachAs,
  attached,
  closeOf,
  createAs,
  pageOf,
  startGateway,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { clientOf, rejection, until, upstreamOf } from '../support/upstream.ts'
import { recordWarnings, warned } from '../support/warnings.ts'

afterEach(() => void vi.useRealTimers())

failOnUnhandledErrors()

const DENIED = { code: 4003, reason: 'Not accepted by the terminal server' }
const NOT_ACCEPTED = { status: 500, body: { error: DENIED.reason } }

/** Options of an upstream, as `authorize` returns them. */
const OPTIONS = { base: 'http://127.0.0.1:9', key: 'sk-canary', userId: 'ada' }

/** Starts a gateway whose upstream wants another key. */
async function withWrongKey(authType: UpstreamOptions['authType']): Promise<ServedGateway> {
  const upstream = await upstreamOf()
  return startGateway({ authorize: () => ({ base: upstream.url, key: 'wrong-canary', userId: 'ada', authType }) })
}

describe('an upstream that refuses the credentials', () => {
  it.each(['bearer', 'none'] as const)('of the operator (%s) is a warning, and 500 for the client', async (type) => {
    const [warnings, refusals] = [recordWarnings(), recordRefusals()]
    const gateway = await withWrongKey(type)
    for (let count = 0; count < 3; count += 1) expect(await ask(gateway, 'POST')).toMatchObject(NOT_ACCEPTED)
    await warned()
    const what = 'An upstream does not let a terminal gateway in. Cannot create a terminal session at http://127.0.0.1:'
    const error = { code: 'ERR_TERMINAL_UNAUTHORIZED' }
    expect(warnings).toMatchObject([{ ...error, message: expect.stringContaining(what) }])
    expect(warnings[0]?.message).toMatch(/:\d+\/api\/terminals: HTTP 401, "[\w ]+"\. .*`key`/)
    expect(refusals[0]).toMatchObject({ reason: 'upstream', status: 500, error })
  })

  it.each(['session', 'system_oauth'] as const)('of the user (%s) is 401 for the client, no warning', async (type) => {
    const [warnings, refusals] = [recordWarnings(), recordRefusals()]
    const answer = { status: 401, body: { detail: 'Invalid API key' } }
    expect(await ask(await withWrongKey(type), 'POST')).toMatchObject(answer)
    await warned()
    expect(warnings).toEqual([])
    expect(refusals).toMatchObject([{ reason: 'upstream', status: 401 }])
  })

  it.each([
    ['bearer', DENIED, 1],
    ['session', { code: 4001, reason: 'Not authorized' }, 0],
  ] as const)('of a terminal that is open (%s) says so to its client, too', async (authType, end, count) => {
    const warnings = recordWarnings()
    const upstream = await upstreamOf({ release: 'open-terminal@0.14.5' })
    const { closed } = await attached({ authorize: () => ({ ...clientOf(upstream), authType }) })
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
    expect(await ask(gateway, 'POST')).toMatchObject(NOT_ACCEPTED)
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
  it.each<[string, unknown, string]>([
    ['nothing', undefined, 'TypeError ERR_INVALID_ARG_TYPE at '],
    ['null', null, 'TypeError ERR_INVALID_ARG_TYPE at '],
    ['a URL', 'http://h', 'TypeError ERR_INVALID_ARG_TYPE at '],
    ['an empty object', {}, '`userId` must be a string, got undefined'],
    ['a user id that is a number', { ...OPTIONS, userId: 42 }, '`userId` must be a string, got number'],
    ['an empty user id', { ...OPTIONS, userId: '' }, '`userId` must not be empty'],
    ['a user id with a letter that no header can have', { ...OPTIONS, userId: 'Łucja' }, '`userId` must fit a header'],
    ['a key that is a number', { ...OPTIONS, key: 7 }, '`key` must be a string'],
    ['an unknown auth type', { ...OPTIONS, authType: 'basic' }, '`authType` must be one of '],
    ['no base', { ...OPTIONS, base: undefined }, '`base` must be an absolute http(s) or ws(s) URL: got undefined'],
    ['a base that is no URL', { ...OPTIONS, base: 'nonsense' }, '`base`'],
    ['a policy that is a number', { ...OPTIONS, policyId: 7 }, '`policyId` must be a string'],
    ['a context without a name', { ...OPTIONS, contextId: '' }, '`contextId` must not be empty'],
  ])('%s is a warning, and 500 or 4003 for the client', async (_, returned, why) => {
    const [warnings, refusals] = [recordWarnings(), recordRefusals()]
    const gateway = await startGateway({ authorize: () => returned as never })
    for (const method of ['GET', 'POST']) expect(await ask(gateway, method)).toMatchObject(NOT_ACCEPTED)
    expect(await closeOf(gateway, 's1')).toEqual(DENIED)
    await warned()
    const message = expect.stringContaining(`has returned what cannot be used: ${why}`)
    expect(warnings).toMatchObject([{ code: 'TERMINAL_GATEWAY_RETURNED', message }])
    await until(() => refusals.length === 3)
    for (const each of refusals) expect(each).toMatchObject({ reason: 'unauthorized', error: { name: 'TypeError' } })
  })

  const failure = (): Error => Object.assign(new Error('no token for sk-canary'), { code: 'EVAULT' })
  const asHeader = (get: () => never) => ({
    headers: Object.defineProperty({}, 'a', { get, enumerable: true }),
  })
  const asKey = (key: () => never): object => ({ key })

  it.each<[string, () => unknown, (fail: () => never) => object, RegExp]>([
    ['headers whose getter throws an error', failure, asHeader, /be used: Error EVAULT at /],
    ['headers whose getter throws a string', () => 'sk-canary', asHeader, /be used: a value of the type string\. /],
    ['a `key` that throws', failure, asKey, /`key` has failed: Error EVAULT at .*warnings\.test\.ts:\d+:\d+\. Return/],
  ])('%s is a warning that does not show what is thrown', async (_, thrown, fieldsOf, message) => {
    const warnings = recordWarnings()
    const fail = (): never => {
      throw thrown()
    }
    const gateway = await startGateway({ authorize: () => ({ base: OPTIONS.base, userId: 'ada', ...fieldsOf(fail) }) })
    expect(await ask(gateway, 'POST')).toMatchObject(NOT_ACCEPTED)
    await warned()
    expect(warnings).toMatchObject([{ message: expect.stringMatching(message) }])
  })
})

describe('an `authorize` that', () => {
  const multiline = 'no user\n    at sk-canary:1:1'
  const { stack } = new Error(multiline)
  const controlling = 'Error\n    at \u001b[2J:1:1\n    at f (/a.js:1:2)'

  it.each<[string, unknown, RegExp]>([
    ['an Error', new TypeError('no rows for sk-canary'), /failed: TypeError at .*warnings\.test\.ts:\d+:\d+\. /],
    ['an Error with lines', new RangeError(multiline), /failed: RangeError at .*test\.ts:\d+/],
    ['a code', Object.assign(new Error('sk-canary'), { code: 'ECONNREFUSED' }), /failed: Error ECONNREFUSED at /],
    ['another TerminalError', new TerminalError('ERR_TERMINAL_PROTOCOL', 'sk-canary'), /ERR_TERMINAL_PROTOCOL at /],
    ['a string', 'sk-canary', /failed: a value of the type string\. /],
    ['an Error whose message is no longer that of its stack', Object.assign(new Error('x'), { stack }), /: Error\. /],
    ['an Error with a hostile stack', Object.assign(new Error(''), { stack: controlling }), /at \/a\.js:1:2\. /],
    ['nothing', undefined, /failed: a value of the type undefined\. /],
  ])('throws %s causes a warning that does not quote it', async (_, thrown, message) => {
    const warnings = recordWarnings()
    const gateway = await startGateway({ authorize: () => Promise.reject(thrown) })
    for (const method of ['GET', 'POST']) expect((await ask(gateway, method)).status).toBe(503)
    expect(await closeOf(gateway, 's1')).toMatchObject({ code: 1013 })
    await warned()
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatchObject({ code: 'TERMINAL_GATEWAY_FAILED', message: expect.stringMatching(message) })
    expect(warnings[0]?.message).toContain('To refuse a client, throw a TerminalError')
  })

  it('does not answer in time causes a warning', async () => {
    const warnings = recordWarnings()
    const gateway = await startGateway({ authTimeout: 20, authorize: () => new Promise(() => {}) })
    expect(await ask(gateway, 'POST')).toMatchObject({
      status: 503,
      body: { error: 'Not authorized, try again later' },
    })
    await warned()
    expect(warnings).toMatchObject([{ message: expect.stringContaining('has failed: no answer within 20 ms. ') }])
  })

  const CODES = ['UNAUTHORIZED', 'FORBIDDEN', 'NOT_FOUND', 'MISSING_USER', 'LIMIT'] as const

  it.each(CODES)('refuses with ERR_TERMINAL_%s causes no warning', async (code) => {
    const warnings = recordWarnings()
    const error = new TerminalError(`ERR_TERMINAL_${code}`, 'no')
    const gateway = await startGateway({ authorize: () => Promise.reject(error) })
    await ask(gateway, 'GET')
    await closeOf(gateway, 's1')
    await warned()
    expect(warnings).toEqual([])
  })

  it('is left by its client causes no warning', async () => {
    const warnings = recordWarnings()
    const gateway = await startGateway({ authorize: neverAuthorize })
    const left = await attachAs(gateway, 's1')
    left.ws.terminate()
    await left.closed
    const leaving = AbortSignal.timeout(50)
    await expect(fetch(`${gateway.base}/api/terminals`, { signal: leaving })).rejects.toThrow()
    await warned()
    expect(warnings).toEqual([])
  })
})

describe('a warning', () => {
  it('is given once a minute for each code and upstream, and not without end', async () => {
    const given = recordWarnings()
    vi.useFakeTimers({ toFake: ['performance'] })
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
    const [first, ...others] = ['A at http://one', 'B at http://one', 'A at http://two']
    expect(given.map(({ message }) => message)).toEqual([first, ...others, first])
    for (let count = 0; count < 1_000; count += 1) warn('A', `http://user-${count}`)
    await warned()
    expect(given.length).toBeLessThan(110)
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

const ADVICE = 'Ask the operator of the gateway: its log says why.'

// PROTOCOL 8.8
describe('what only the operator of a gateway can mend', () => {
  it('ends connectTerminal at once when the key of the upstream is wrong', async () => {
    const upstream = await upstreamOf()
    const gateway = await startGateway({ authorize: () => ({ base: upstream.url, key: 'wrong', userId: 'ada' }) })
    const error = await rejection(connectTerminal(pageOf(gateway)))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAVAILABLE', status: 500 })
    expect(error.message).toMatch(/: HTTP 500, "Not accepted by the terminal server"\. Ask the operator /)
    expect(error.message).toContain(ADVICE)
    expect(upstream.requests.map(({ status }) => status)).toEqual([401])
  })

  it('ends connectTerminal at once with a session of its own', async () => {
    const refusals = recordRefusals()
    const gateway = await startGateway({ authorize: () => ({ userId: 42 }) as never })
    const error = await rejection(connectTerminal({ ...pageOf(gateway), sessionId: 's1' }))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_FORBIDDEN', closeCode: 4003 })
    expect(error.message).toContain(`closed with 4003, "Not accepted by the terminal server". ${ADVICE}`)
    await until(() => refusals.length > 0)
    expect(refusals).toHaveLength(1)
  })

  it('does not end a terminal that resumes: its shell lives, and goes on when that is mended', async () => {
    const upstream = await upstreamOf()
    let isWrong = false
    let refused = 0
    const authorize = (): UpstreamOptions => {
      if (!isWrong) return clientOf(upstream)
      refused += 1
      return { ...clientOf(upstream), userId: 42 as never }
    }
    const { gateway, relay, terminal, text } = await openResumable({}, { authorize })
    isWrong = true
    relay.cut('reset')
    await until(() => refused > 1)
    expect(terminal.status).toBe('reconnecting')
    isWrong = false
    await expect.poll(() => terminal.status, { timeout: 5_000 }).toBe('open')
    await terminal.write('still here')
    await until(() => text().includes('still here'))
    expect(await ask(gateway, 'GET')).toMatchObject({ body: [{ id: terminal.sessionId }] })
  })
})
