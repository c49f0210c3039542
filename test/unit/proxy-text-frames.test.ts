import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { KIB, MIB } from '../support/proxy.ts'
import { countJsonParses } from '../support/proxy-json.ts'
import { OVER, pair, upTo } from '../support/proxy-pair.ts'

// PROTOCOL 5.4
describe('a text frame of a client', () => {
  it.each([
    ['more than 64 KiB of objects', `{"type":"ping","x":[${'{},'.repeat(30_000)}{}]}`],
    ['16 MiB of objects', `{"type":"ping","x":[${'{},'.repeat(5_000_000)}{}]}`],
    ['16 MiB of brackets', '['.repeat(16 * MIB - 1)],
  ])('with %s is dropped without being parsed', async (_what, text) => {
    const { ws, upstream, served, received } = await pair()
    const parses = await countJsonParses(async () => {
      ws.send(text)
      ws.send(Buffer.from('over'))
      await once(upstream, 'message')
    })
    expect(parses).toBe(0)
    expect(received.map(({ data }) => data.toString())).toEqual(['over'])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 1, bytesToUpstream: 4 })
  })

  // Python's parser raises errors for some of these that the server does not catch.
  it('that is neither a size nor a heartbeat is dropped', async () => {
    const frames = [
      '',
      'x'.repeat(64 * KIB + 1),
      '{}',
      '[',
      '"a',
      '{"type":"exec"}',
      `{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`,
      '['.repeat(60_000),
      `{"type":"ping","a":${'1'.repeat(4_301)}`,
      '{"type":"resize","cols":80,"rows":24,"a":NaN}',
    ]
    const { ws, upstream, received, served } = await pair()
    for (const frame of frames) ws.send(frame)
    ws.send(OVER)
    expect(await upTo(OVER, upstream, received)).toEqual([])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: frames.length, bytesToUpstream: OVER.length })
  })

  it('that is a size or a heartbeat is passed on in words that every server takes', async () => {
    const { ws, upstream, received, served } = await pair()
    ws.send(`{"type":"ping","a":${'1'.repeat(4_301)}}`)
    ws.send('{"type":"resize","cols":8e1,"rows":24.0,"a":1e999}')
    ws.send(OVER)
    const arrived = await upTo(OVER, upstream, received)
    expect(arrived.map(({ data }) => data.toString())).toEqual([
      '{"type":"ping"}',
      '{"type":"resize","cols":80,"rows":24}',
    ])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 0 })
  })
})
