import { describe, expect, it } from 'vitest'
import { AUTH, output, parked, resume, silent } from '../support/resume.ts'
import {
  as,
  ask,
  attachAs,
  attached,
  createAs,
  startGateway,
  type,
  untilAttached,
  untilParked,
  type ServedGateway,
} from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'

// PROTOCOL 8.1 and 8.2
describe('a client that names an offset', () => {
  it('is told where its output begins, and then gets it', async () => {
    const gateway = await startGateway({ keepFor: 60_000 }, { shell: silent })
    const id = await createAs(gateway)
    await gateway.upstream.sessions[0]?.output('first')
    const client = await resume(gateway, id, null)
    expect(client.attached).toEqual({
      type: 'attached',
      offset: 0,
      replay: 0,
      live: 0,
      keepFor: 60_000,
      generation: expect.stringMatching(/./),
      paced: true,
    })
    await client.printed('first')
    expect(output(client)).toBe('first')
  })

  it('gets exactly the output from the offset on, also queries, and what came while it was away', async () => {
    const { gateway, id, print } = await parked('one \x1b[6n two ')
    await print('three \x1b[6n')
    const client = await resume(gateway, id, 4)
    // The first query was meant for the client before, and nobody answers the second.
    expect(client.attached).toMatchObject({ offset: 4, replay: 9, live: 23 })
    await print(' four')
    await client.printed('four')
    expect(output(client)).toBe('\x1b[6n two three \x1b[6n four')
  })

  it.each([0, 5, 10])('at %i of 10 bytes gets the rest', async (offset) => {
    const { gateway, id } = await parked('0123456789')
    const client = await resume(gateway, id, offset)
    expect(client.attached).toMatchObject({ offset, replay: 10 - offset })
    await until(() => output(client) === '0123456789'.slice(offset))
  })

  it.each([null, 19, -1])('of %s, which cannot be continued, gets a tail', async (offset) => {
    const { gateway, id, print } = await parked('query \x1b[6n')
    await print('more \x1b[c')
    const client = await resume(gateway, id, offset)
    // 18 bytes of output, 11 in the tail, 10 sent: 18 - 11, 10 - 7.
    expect(client.attached).toMatchObject({ offset: 7, replay: 3 })
    await until(() => output(client) === 'query more ')
  })

  it('that is no longer kept gets a tail in one message, which begins with the modes', async () => {
    const { gateway, id, print } = await parked(`\x1b[?2004h${'line\n'.repeat(100)}`, { replayBytes: 52 })
    const client = await resume(gateway, id, 100)
    const tail = `\x18\x1bc\x1b[?25h\x1b[?2004h${'line\n'.repeat(10)}`
    expect(client.attached).toMatchObject({ offset: 508 - tail.length, replay: tail.length })
    await print('next')
    await client.printed('next')
    expect(client.messages.slice(1).map(({ data }) => data.toString())).toEqual([tail, 'next'])
  })

  it.each<[offset: number | null, missing: number | undefined]>([
    [448, undefined],
    [447, 1],
    [100, 348],
    [0, 448],
    [-1, 448],
    [501, undefined],
    [null, undefined],
  ])('of %s of 500, of which 52 are kept, is told that %s are missing', async (offset, missing) => {
    const { gateway, id } = await parked('line\n'.repeat(100), { replayBytes: 52 })
    const client = await resume(gateway, id, offset)
    expect(client.attached).toMatchObject({ live: 500 })
    expect(client.attached.missing).toBe(missing)
  })

  it('never gets a tail that looks exact', async () => {
    const { gateway, id } = await parked('line\n'.repeat(100), { replayBytes: 12 })
    const tail = '\x18\x1bc\x1b[?25hline\nline\n'
    const client = await resume(gateway, id, 500 - tail.length)
    await until(() => output(client) === `\x18${tail}`)
    expect(client.attached.offset).toBe(500 - tail.length - 1)
  })

  it.each(['"5"', '1.5', '{}', 'true', '[]'])('of %s counts as one that names none', async (offset) => {
    const { gateway, id } = await parked('text')
    const client = await attachAs(gateway, id, { ...AUTH, offset: JSON.parse(offset) })
    await client.printed('text')
    expect(client.messages.map(({ data }) => data.toString())).toEqual(['text'])
  })
})

describe('a client that names no offset', () => {
  it('gets the tail and never a text frame, also after a heartbeat, because Open WebUI prints them', async () => {
    const { gateway, id, print } = await parked('one \x1b]52;c;?\x07two \x1b[6n')
    const client = await attachAs(gateway, id)
    await client.printed('one two ')
    client.ws.send('{"type":"ping"}')
    await until(() => gateway.gateway.sessions[0]?.bytesToUpstream === 15)
    await print('three')
    await client.printed('three')
    expect(client.messages.every(({ isBinary }) => isBinary)).toBe(true)
  })

  it('gets everything from the first byte on if no client was there before, also queries', async () => {
    const gateway = await startGateway({ replayBytes: 0 }, { shell: silent })
    const id = await createAs(gateway)
    await gateway.upstream.sessions[0]?.output('\x1b[6nprompt')
    const client = await attachAs(gateway, id)
    await client.printed('prompt')
    expect(output(client)).toBe('\x1b[6nprompt')
  })

  it('gets a tail if a shell that nobody had joined has printed a flood', async () => {
    const gateway = await startGateway({ replayBytes: 1_000 }, { shell: silent })
    const id = await createAs(gateway)
    await gateway.upstream.sessions[0]?.output(`${'a line\n'.repeat(100_000)}the end`)
    await expect.poll(() => gateway.gateway.sessions[0]?.text()).toContain('the end')
    const client = await attachAs(gateway, id)
    await client.printed('the end')
    expect(output(client).replaceAll('a line\n', '')).toBe('\x18\x1bc\x1b[?25hthe end')
    expect(output(client).length).toBeLessThan(70_000)
  })
})

// PROTOCOL 8.3
describe('the size of the window', () => {
  /** Parks a session, and records the sizes that its shell is told from then on. */
  async function parkedWithSizes(): Promise<{ gateway: ServedGateway; id: string; sizes: string[] }> {
    const sizes: string[] = []
    const shell = (): object => ({ input() {}, resize: (cols: number, rows: number) => sizes.push(`${cols}x${rows}`) })
    const { gateway, id, ws } = await attached({ size: { cols: 90, rows: 20 } }, { shell: shell as never })
    ws.close()
    await untilParked(gateway)
    sizes.length = 0
    await gateway.upstream.sessions[0]?.output('text')
    return { gateway, id, sizes }
  }

  it('after a tail is that of the new client less one row, and then that of the new client', async () => {
    const { gateway, id, sizes } = await parkedWithSizes()
    const { ws } = await attachAs(gateway, id)
    ws.send('{"type":"resize","cols":100,"rows":30}')
    await until(() => sizes.length === 1)
    ws.send('{"type":"resize","cols":100,"rows":40}')
    await until(() => sizes.length === 2)
    ws.send('{"type":"resize","cols":101,"rows":40}')
    await until(() => sizes.length === 3)
    expect(sizes).toEqual(['100x29', '100x40', '101x40'])
  })

  it('after a tail is that of the last client if the new one sends none', async () => {
    const { gateway, id, sizes } = await parkedWithSizes()
    await attachAs(gateway, id)
    await until(() => sizes.length === 2)
    expect(sizes).toEqual(['90x19', '90x20'])
  })

  it('of one row or none is two rows for a moment', async () => {
    const { gateway, id, sizes } = await parkedWithSizes()
    const { ws } = await attachAs(gateway, id)
    ws.send('{"type":"resize","cols":0,"rows":0}')
    await until(() => sizes.length === 2)
    expect(sizes).toEqual(['1x2', '1x1'])
  })

  it('is restored at once if the client leaves in that moment, and is no problem for a terminal that has closed', async () => {
    const { gateway, id, sizes } = await parkedWithSizes()
    const first = await attachAs(gateway, id)
    first.ws.send('{"type":"resize","cols":100,"rows":30}')
    await until(() => sizes.length === 1)
    first.ws.terminate()
    await until(() => sizes.length === 2)
    expect(sizes).toEqual(['100x29', '100x30'])
    const second = await attachAs(gateway, id)
    await until(() => sizes.length === 3)
    await ask(gateway, 'DELETE', `/${id}`)
    expect(await second.closed).toMatchObject({ code: 1000 })
  })

  it('after an exact replay is sent unchanged', async () => {
    const { gateway, id, sizes } = await parkedWithSizes()
    const { ws } = await attachAs(gateway, id, { ...AUTH, offset: 0 })
    ws.send('{"type":"resize","cols":100,"rows":30}')
    await until(() => sizes.length === 1)
    expect(sizes).toEqual(['100x30'])
  })
})

describe('a session without a client', () => {
  it('is parked when its client leaves in any way, and looked up and listed as before', async () => {
    const { gateway, id } = await parked('text')
    expect(gateway.gateway.sessions).toMatchObject([{ id, parkedSince: expect.any(Date), bytesToClient: 4 }])
    expect(gateway.gateway.sessions[0]).not.toHaveProperty('attachedSince')
    expect((await ask(gateway, 'GET', `/${id}`)).status).toBe(200)
    const { ws } = await attachAs(gateway, id)
    await untilAttached(gateway)
    expect(gateway.gateway.sessions[0]).not.toHaveProperty('parkedSince')
    ws.terminate()
    await untilParked(gateway)
    expect((await ask(gateway, 'DELETE', `/${id}`)).status).toBe(200)
    await until(() => gateway.upstream.sessions.length === 0)
  })

  it('still gets what its client had typed before it left', async () => {
    const { gateway, id, ...client } = await attached()
    client.ws.send(Buffer.from('x'.repeat(100_000)))
    client.ws.send(Buffer.from('the end'))
    client.ws.close()
    const { printed } = await attachAs(gateway, id)
    await printed('the end')
  })

  it('of another user, or of another chat, is not found', async () => {
    const { gateway, id } = await parked('text')
    const other = await attachAs(gateway, id, { token: 'jwt-eve', offset: 0 })
    expect(await other.closed).toEqual({ code: 4004, reason: 'Session not found' })
    const chat = await createAs(gateway, as('ada', { 'X-Session-Id': 'c1' }))
    const { closed } = await attachAs(gateway, chat, { ...AUTH, chat_id: 'c2', offset: 0 })
    expect(await closed).toMatchObject({ code: 4004 })
  })
})

describe('a second client of the same user', () => {
  it('takes the terminal over, and the first is closed with 4009', async () => {
    const { gateway, id, ...first } = await attached()
    await type(first, 'one')
    const second = await attachAs(gateway, id)
    expect(await first.closed).toEqual({ code: 4009, reason: 'Taken over' })
    second.ws.send(Buffer.from('two'))
    await second.printed('onetwo')
    expect(gateway.gateway.sessions).toHaveLength(1)
  })

  it('takes over from a client that does not notice that it is gone', async () => {
    const { gateway, id, ...first } = await attached()
    first.ws.pause()
    const second = await attachAs(gateway, id)
    await type(second, 'mine')
    first.ws.resume()
    expect(await first.closed).toEqual({ code: 4009, reason: 'Taken over' })
  })
})
