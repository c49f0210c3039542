import type { IncomingMessage } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { ClientFlow } from '../../src/gateway/client-flow.ts'
import { describeClient } from '../../src/gateway/visitor.ts'

describe('ClientFlow', () => {
  it('has no effect on the upstream once the client has left, and lets it go on then', () => {
    const calls: string[] = []
    const source = { pause: () => calls.push('pause'), resume: () => calls.push('resume') }
    const flow = new ClientFlow(source, () => expect.unreachable())
    flow.pause()
    flow.resume()
    flow.pause()
    flow.close()
    flow.pause()
    flow.resume()
    expect(calls).toEqual(['pause', 'resume', 'pause', 'resume'])
  })

  it('does not take many short pauses for a long one', () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
    try {
      const stalls: number[] = []
      const flow = new ClientFlow({ pause() {}, resume() {} }, () => stalls.push(performance.now()))
      for (let second = 0; second < 40; second += 1) {
        flow.pause()
        vi.advanceTimersByTime(900)
        flow.resume()
        vi.advanceTimersByTime(100)
      }
      vi.advanceTimersByTime(20_000)
      expect(stalls).toEqual([])
      flow.pause()
      vi.advanceTimersByTime(16_000)
      expect(stalls).toHaveLength(1)
      flow.close()
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('describeClient', () => {
  const route = { policyId: undefined, sessionId: undefined }

  it.each([
    [{ authorization: 'Bearer one' }, '/', undefined, 'one'],
    [{ authorization: 'bearer  one' }, '/', undefined, 'one'],
    [{ authorization: 'one' }, '/', undefined, 'one'],
    [{}, '/?token=query', undefined, ''],
    [{}, '/', undefined, ''],
    [{ authorization: 'Bearer header' }, '/?token=query', { token: 'frame' }, 'frame'],
    [{ authorization: 'Bearer header' }, '/?token=query', { token: '' }, 'header'],
    [{}, '/?token=query', { token: '' }, 'query'],
    [{}, '/?token=', { token: '' }, ''],
  ])('finds the token for the headers %j, the URL %j and the auth frame %j', (headers, url, auth, token) => {
    expect(describeClient({ headers, url } as IncomingMessage, route, auth).token).toBe(token)
  })

  // PROTOCOL 7.5
  it.each([
    [{}, '/', undefined, {}],
    [{ 'x-user-id': '', 'x-session-id': '' }, '/?user_id=&context_id=', undefined, {}],
    [{ 'x-user-id': 'ada' }, '/?user_id=bob', undefined, { userId: 'ada' }],
    [{}, '/?user_id=bob&context_id=default', undefined, { userId: 'bob', contextId: 'default' }],
    [{ 'x-session-id': 'c1' }, '/', { token: '', chatId: 'c2' }, { chatId: 'c1' }],
    [{}, '/', { token: '', chatId: 'c2' }, { chatId: 'c2' }],
  ])('finds the ids in the headers %j, the URL %j and the auth frame %j', (headers, url, auth, ids) => {
    const { token: _, request: __, ...found } = describeClient({ headers, url } as IncomingMessage, route, auth)
    expect(found).toEqual(ids)
  })
})
