import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import { describeClient } from '../../src/gateway/visitor.ts'
import type { OutputSource, Sink } from '../../src/terminal/output.ts'

/** A client's sink, and the source of a session's output, which record what they are told. */
function recorders(): { told: string[]; sink: Sink; source: OutputSource; output: SessionOutput } {
  const told: string[] = []
  const sink: Sink = {
    push: (data, isBinary) => void told.push(`${isBinary ? 'binary' : 'text'} ${Buffer.from(data).toString()}`),
    end: () => void told.push('end'),
    discard: () => void told.push('discard'),
    isPaused: () => true,
  }
  const source = {
    pause: () => void told.push('pause'),
    resume: () => void told.push('resume'),
  } as OutputSource
  source.receiver = new SessionOutput(1_000, source)
  return { told, sink, source, output: source.receiver as SessionOutput }
}

describe('SessionOutput', () => {
  it('holds output until a client joins, whose sink then takes the place of the receiver', () => {
    const { told, sink, source, output } = recorders()
    const shared = Buffer.from('one')
    output.push(shared, true)
    shared.fill('x')
    output.end()
    expect(told).toEqual([])
    output.join(sink)
    source.receiver.push(Buffer.from('two'), false)
    expect(told).toEqual(['binary one', 'text two'])
  })

  it('makes the upstream wait while more than `maxBuffered` bytes wait for a client', () => {
    const { told, sink, output } = recorders()
    output.push(Buffer.from('a'.repeat(400)), true)
    expect(output.isPaused()).toBe(false)
    output.push(Buffer.from('b'.repeat(400)), true)
    expect(output.isPaused()).toBe(true)
    output.join(sink)
    // The sink may have paused the upstream with these two messages.
    expect(told.map((what) => what.slice(0, 8))).toEqual(['pause', 'resume', 'binary a', 'binary b'])
  })

  it('drops output once it is discarded', () => {
    const { told, sink, output } = recorders()
    output.push(Buffer.from('one'), true)
    output.discard()
    output.push(Buffer.from('two'), true)
    output.join(sink)
    expect(told).toEqual([])
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
