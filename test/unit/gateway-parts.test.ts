import type { IncomingMessage } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { describeClient } from '../../src/client/authorize.ts'
import { Admission, Reservation } from '../../src/gateway/admission.ts'
import { ClientFlow } from '../../src/gateway/client-flow.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import type { FlowControl } from '../../src/lib/water-mark.ts'

afterEach(() => void vi.useRealTimers())

/** Returns the flow of a client that takes nothing. */
function flowOf(source: FlowControl, onStalled: () => void): ClientFlow {
  return new ClientFlow(source, { unsent: () => 1, onStalled, onSlow: () => expect.unreachable() })
}

describe('SessionOutput', () => {
  /** Joins a client that reads one byte in each ms, and lets it fall behind. */
  function joinSlow(kept: number): { output: SessionOutput; calls: string[]; drain: () => void } {
    const calls: string[] = []
    let drain = (): void => {}
    const note = (name: string) => (): void => void calls.push(name)
    const output = new SessionOutput({ pause: note('pause'), resume: note('resume') })
    const client = {
      push: (data: Buffer) => void calls.push(`push ${String(data)}`),
      replay: (data: Buffer) => void calls.push(`replay ${String(data)}`),
      unsent: () => 1_000_000 - performance.now(),
      drained: () => new Promise<void>((resolve) => (drain = resolve)),
      end() {},
    }
    let flow: FlowControl | undefined
    const create = (source: FlowControl): never => {
      flow = source
      return client as never
    }
    output.join(create, { onStalled: note('stalled') })
    output.keep(kept)
    output.push(Buffer.from('one'))
    flow?.pause()
    vi.advanceTimersByTime(16_000)
    return { output, calls, drain: () => drain() }
  }

  it.each([
    ['is kept', 100, 'replay twothree'],
    ['is not kept', 4, 'stalled'],
  ])('lets the upstream go on for a client that reads, which gets the rest if that %s', async (_, kept, then) => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
    const { output, calls, drain } = joinSlow(kept)
    output.push(Buffer.from('two'))
    output.push(Buffer.from('three'))
    expect(calls).toEqual(['push one', 'pause', 'resume'])
    drain()
    await Promise.resolve()
    expect(calls.slice(3)).toEqual([then])
    output.push(Buffer.from('four'))
    expect(calls.slice(4)).toEqual(then === 'stalled' ? [] : ['push four'])
  })

  it('gives such a client the rest when the terminal ends', () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
    const { output, calls } = joinSlow(100)
    output.push(Buffer.from('two'))
    output.end()
    expect(calls.slice(3)).toEqual(['replay two'])
  })
})

describe('ClientFlow', () => {
  it('has no effect on the upstream once the client has left, and lets it go on then', () => {
    const calls: string[] = []
    const source = { pause: () => calls.push('pause'), resume: () => calls.push('resume') }
    const flow = flowOf(source, () => expect.unreachable())
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
    const stalls: number[] = []
    const flow = flowOf({ pause() {}, resume() {} }, () => stalls.push(performance.now()))
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
  })
})

describe('describeClient', () => {
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
    expect(describeClient({ headers, url } as IncomingMessage, auth).token).toBe(token)
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
    const { token: _, request: __, ...found } = describeClient({ headers, url } as IncomingMessage, auth)
    expect(found).toEqual(ids)
  })
})

describe('Reservation', () => {
  it('is given back only by the client that got it last, with what was left before the first', () => {
    const waits: number[] = []
    const session = {
      admission: new Admission(),
      reservation: undefined as Reservation | undefined,
      timer: { left: 5 },
      wait(ms: number, reservation?: Reservation) {
        waits.push(ms)
        this.timer = { left: ms }
        this.reservation = reservation
      },
    }
    Reservation.make(session)
    const first = session.reservation
    Reservation.make(session)
    // Its answer could not be sent.
    first?.giveBack()
    expect(waits).toEqual([30_000, 30_000])
    session.reservation?.giveBack()
    expect(waits).toEqual([30_000, 30_000, 5])
    expect(session.reservation).toBeUndefined()
  })
})
