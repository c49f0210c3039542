import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { KIB, MIB } from '../support/proxy.ts'
import { countJsonParses } from '../support/proxy-json.ts'
import { digest, pair, upTo } from '../support/proxy-pair.ts'

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

  it('of more than 64 KiB is dropped, even if it is not JSON', async () => {
    const { ws, upstream, served, received } = await pair()
    ws.send('x'.repeat(64 * KIB + 1))
    ws.send('{}')
    await once(upstream, 'message')
    expect(received.map(String)).toHaveLength(1)
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 1 })
  })

  // Python's parser raises errors for these that the server does not catch.
  it.each([
    ['is nested too deep', `{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`],
    ['is nested too deep and never closed', '['.repeat(100_000)],
    ['has an integer of more than 4300 digits', `{"a":${'1'.repeat(4_301)}}`],
    [
      'is a resize with an integer of more than 4300 digits',
      `{"type":"resize","cols":80,"rows":24,"a":${'1'.repeat(4_301)}}`,
    ],
  ])('that %s is dropped', async (_what, killer) => {
    const { ws, upstream, received, served } = await pair()
    ws.send(killer)
    ws.send('~over')
    expect((await upTo('~over', upstream, received)).map(digest)).toEqual([])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 1 })
  })

  it('that only resembles a frame that kills the shell is forwarded', async () => {
    const harmless = [
      '',
      '[',
      '1 2',
      'nan',
      '"a',
      `{"a":${'['.repeat(100)}${']'.repeat(100)}}`,
      `{"a":"${'['.repeat(5_000)}"}`,
      `{"a":"${'1'.repeat(5_000)}"}`,
      '{"type":"resize","cols":0,"rows":65535}',
      '\uFEFF1',
    ]
    const { ws, upstream, received, served } = await pair()
    for (const frame of harmless) ws.send(frame)
    ws.send('~over')
    expect((await upTo('~over', upstream, received)).map(({ data }) => data.toString())).toEqual(harmless)
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 0 })
  })
})
