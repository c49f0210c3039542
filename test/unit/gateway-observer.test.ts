import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import type { GatewaySession, ScreenEvent } from '../../src/gateway.ts'
import { observe } from '../../src/gateway/observer.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import { parked } from '../support/resume.ts'
import { as, attachAs, attached, closeOf, createAs, startGateway, untilParked } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

/** Returns the only session of a gateway. */
function only({ gateway }: { gateway: { readonly sessions: readonly GatewaySession[] } }): GatewaySession {
  return gateway.sessions[0] ?? expect.unreachable('there is no session')
}

/** Returns events with their output as text, neighbours joined. */
function readable(events: readonly ScreenEvent[]): Array<string | object> {
  const shown: Array<string | object> = []
  for (const event of events) {
    const output = event.type === 'output' ? Buffer.from(event.data).toString() : undefined
    if (output !== undefined && typeof shown.at(-1) === 'string') shown.push(String(shown.pop()) + output)
    else shown.push(output ?? event)
  }
  return shown
}

describe('an observer', () => {
  it('gets the size and the screen, then output and sizes in order, and ends with the session', async () => {
    const { gateway, id, print } = await parked('before ')
    const session = only(gateway)
    const events: ScreenEvent[] = []
    const reading = (async () => {
      for await (const event of session) events.push(event)
    })()
    await until(() => events.length === 2)
    await print('one ')
    await until(() => events.length === 3)
    const { ws } = await attachAs(gateway, id)
    ws.send('{"type":"resize","cols":90,"rows":20}')
    await until(() => events.length === 4)
    await print('two')
    await until(() => events.length === 5)
    await session.end()
    await reading
    expect(readable(events)).toEqual([
      { type: 'resize', cols: 80, rows: 24 },
      'before one ',
      { type: 'resize', cols: 90, rows: 20 },
      'two',
    ])
    const isPlain = (event: ScreenEvent): boolean => event.type !== 'output' || !Buffer.isBuffer(event.data)
    expect(events.every(isPlain)).toBe(true)
  })

  it('that is behind gets what waits for it, then how much is missing, and a tail', async () => {
    const { gateway, print } = await parked('', { maxBuffered: 64 * 1024, replayBytes: 1024 })
    const events = only(gateway)[Symbol.asyncIterator]()
    expect(await events.next()).toEqual({ done: false, value: { type: 'resize', cols: 80, rows: 24 } })
    const first = events.next()
    await print('first\n')
    expect(readable([(await first).value as ScreenEvent])).toEqual(['first\n'])
    const line = `${'x'.repeat(1023)}\n`
    for (let count = 0; count < 100; count += 1) await print(line)
    await print('the end')
    await expect.poll(() => only(gateway).text()).toContain('the end')
    const got: ScreenEvent[] = []
    while (!readable(got).some((shown) => typeof shown === 'string' && shown.includes('the end'))) {
      got.push((await events.next()).value as ScreenEvent)
    }
    const [before, gap, tail] = readable(got)
    const missing = Object(gap).bytes
    expect(gap).toEqual({ type: 'gap', bytes: expect.any(Number) })
    expect(String(before)).toBe(line.repeat(String(before).length / line.length))
    // What is missing is neither in what waited nor in what is kept.
    expect(String(before).length + missing + 1024).toBe(100 * line.length + 'the end'.length)
    expect(String(tail).startsWith('\x1bc') || String(tail).startsWith('\x18')).toBe(true)
    expect(String(tail).endsWith('the end')).toBe(true)
    await events.return?.()
  })

  it('gets one size, and not all that were set, if there was no output between them', async () => {
    const output = new SessionOutput({ pause() {}, resume() {} })
    const events = observe(output, 1024)
    expect((await events.next()).value).toEqual({ type: 'resize', cols: 80, rows: 24 })
    const waiting = events.next()
    output.push(Buffer.from('before'))
    for (let cols = 1; cols < 100; cols += 1) output.resize({ cols, rows: 20 })
    output.push(Buffer.from('after'))
    output.end()
    const got = [(await waiting).value as ScreenEvent]
    for await (const event of events) got.push(event)
    expect(readable(got)).toEqual(['before', { type: 'resize', cols: 99, rows: 20 }, 'after'])
  })

  it('that falls behind, but not too far, misses nothing', async () => {
    const { gateway, print } = await parked('', { maxBuffered: 1024, replayBytes: 1024 * 1024 })
    const events = only(gateway)[Symbol.asyncIterator]()
    await events.next()
    let printed = ''
    for (let count = 0; count < 50; count += 1) {
      printed += `line ${count}\n`
      await print(`line ${count}\n`)
    }
    const got: ScreenEvent[] = []
    while (!readable(got).some((shown) => shown === printed)) {
      got.push((await events.next()).value as ScreenEvent)
    }
    await events.return?.()
  })

  it('that waits is woken by output that is too much at once', async () => {
    const { gateway, print } = await parked('text', { maxBuffered: 1 })
    const events = only(gateway)[Symbol.asyncIterator]()
    await events.next()
    await events.next()
    const waiting = events.next()
    await print('more')
    expect(readable([(await waiting).value as ScreenEvent])).toEqual(['more'])
    await events.return?.()
  })

  it('ends at once with `return`, also while it waits, and never begins after that', async () => {
    const { gateway, print } = await parked('text')
    const session = only(gateway)
    const events = session[Symbol.asyncIterator]()
    await events.next()
    await events.next()
    const waiting = events.next()
    await events.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
    await print('more')
    expect(await events.next()).toEqual({ done: true, value: undefined })
    const unused = session[Symbol.asyncIterator]()
    await unused.return?.()
    expect(await unused.next()).toEqual({ done: true, value: undefined })
  })
})

/** Records a session with the example, and returns the function that ends that, and resolves with the lines. */
async function recording(session: GatewaySession): Promise<() => Promise<unknown[]>> {
  const example: string = '../examples/record.mjs'
  const { record } = (await import(example)) as {
    record: (session: GatewaySession, stream: PassThrough, signal?: AbortSignal) => Promise<void>
  }
  const cast = new PassThrough()
  const leaving = new AbortController()
  const recorded = record(session, cast, leaving.signal)
  return async () => {
    leaving.abort()
    const [written] = await Promise.all([text(cast), recorded])
    const lines = written.trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line) as unknown)
  }
}

describe('record.mjs', () => {
  it('writes asciicast v2, with characters whole that came in two parts', async () => {
    const { gateway, print, id } = await parked('one ')
    const stop = await recording(only(gateway))
    const euro = Buffer.from('€')
    const session = gateway.upstream.sessions[0] ?? expect.unreachable()
    await session.output(euro.subarray(0, 2))
    await expect.poll(() => only(gateway).text()).toContain('one')
    await session.output(euro.subarray(2))
    await expect.poll(() => only(gateway).text()).toContain('€')
    const { ws } = await attachAs(gateway, id)
    ws.send('{"type":"resize","cols":90,"rows":20}')
    await until(() => session.size.cols === 90)
    await print('two')
    await expect.poll(() => only(gateway).text()).toContain('two')
    const [header, ...events] = (await stop()) as [object, ...Array<[number, string, string]>]
    expect(header).toEqual({ version: 2, width: 80, height: 24, timestamp: expect.any(Number) })
    expect(events.every(([seconds], index) => seconds >= (events[index - 1]?.[0] ?? 0))).toBe(true)
    const shown = (from: number): string =>
      events
        .slice(from)
        .map(([, type, data]) => (type === 'o' ? data : `(${data})`))
        .join('')
    expect(shown(0)).toBe('one €(90x20)two')
  })

  it('keeps no more than the session does while the disk is slow', async () => {
    const { gateway, print } = await parked('', { maxBuffered: 64 * 1024, replayBytes: 1024 })
    // It is read at the end.
    const stop = await recording(only(gateway))
    for (let round = 0; round < 20; round += 1) {
      await print(`${'x'.repeat(32 * 1024)}\nround ${round}`)
      await expect.poll(() => only(gateway).text()).toContain(`round ${round}`)
    }
    expect(JSON.stringify(await stop()).length).toBeLessThan(10 * 32 * 1024)
  })
})

describe('a session, as its operator has it', () => {
  it('names the chat, ends its shell and tells its client why, at once and for good', async () => {
    const gateway = await startGateway()
    const id = await createAs(gateway, as('ada', { 'X-Session-Id': 'chat-1' }))
    const session = only(gateway)
    expect(session).toMatchObject({ id, userId: 'ada', chatId: 'chat-1', watchers: 0 })
    const closed = closeOf(gateway, id, { token: 'jwt-ada', chat_id: 'chat-1' })
    await until(() => only(gateway).attachedSince !== undefined)
    await Promise.all([session.end('Logged out'), session.end()])
    expect(await closed).toEqual({ code: 1000, reason: 'Logged out' })
    expect(gateway.upstream.sessions).toEqual([])
    expect(gateway.gateway.sessions).toEqual([])
    await session.end()
  })

  it('cuts a long reason for the frame, and refuses one that is no text', async () => {
    const { gateway, closed } = await attached()
    await expect(only(gateway).end(7 as never)).rejects.toThrow(TypeError)
    await only(gateway).end('é'.repeat(100))
    expect(await closed).toEqual({ code: 1000, reason: 'é'.repeat(61) })
  })

  it('has the text of its screen, also when it has ended, and then nothing to follow', async () => {
    const { gateway, ...typist } = await attached({}, { shell: () => ({ input() {} }) })
    await gateway.upstream.sessions[0]?.output('\x1b]0;title\x07one\r\n\x1b[31mtwo\x1b[0m\r\n10%\r100%')
    await typist.printed('100%')
    const session = only(gateway)
    expect(await session.text()).toBe('one\ntwo\n100%')
    typist.ws.send('{"type":"resize","cols":80,"rows":2}')
    await until(() => gateway.upstream.sessions[0]?.size.rows === 2)
    expect(await session.text()).toBe('two\n100%')
    typist.ws.close()
    await untilParked(gateway)
    await session.end()
    expect(await session.text()).toBe('two\n100%')
    expect(await session[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined })
  })
})
