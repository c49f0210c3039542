import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { join, type Message } from '../support/proxy.ts'
import { digest, noise, pair, READY, upTo } from '../support/proxy-pair.ts'
import { hashing, sha256 } from '../support/terminal.ts'

const MAX_MESSAGE = 16 * 1024 * 1024

/** A message and how it is sent. */
interface Sending extends Message {
  /** How many frames it comes in. */
  readonly fragments: number
  /** ms before each of them, 0 for the same turn. */
  readonly gap: number
}

const size = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 1, 125, 126, 127, 4095, 4096, 4097, 65_535, 65_536) },
  { weight: 3, arbitrary: fc.nat(1_000) },
  { weight: 1, arbitrary: fc.nat(200_000) },
)
const bytes = fc.tuple(size, fc.nat()).map(([length, seed]) => noise(length, seed))
// What begins like this is no JSON.
const text = fc.oneof(
  bytes.map((random) => Buffer.from(`~${random.toString('base64')}`.slice(0, random.length))),
  fc.string({ unit: 'grapheme', maxLength: 2_000 }).map((characters) => Buffer.from(`~${characters}`)),
)
const command = fc
  .constantFrom('{"type":"ping"}', '{"type":"resize","cols":132,"rows":50}', '{"type":"resize"}', '{}', '{"type":"ü"')
  .map((json) => Buffer.from(json))

function sendings(data: fc.Arbitrary<Message>, maxLength: number): fc.Arbitrary<Sending[]> {
  const fragments = fc.constantFrom(1, 1, 1, 2, 5)
  const gap = fc.constantFrom(0, 0, 0, 1, 6)
  return fc.array(
    fc.tuple(data, fragments, gap).map(([message, count, ms]) => ({ ...message, fragments: count, gap: ms })),
    { maxLength },
  )
}

function messages(data: fc.Arbitrary<Buffer>, isBinary: boolean): fc.Arbitrary<Message> {
  return data.map((content) => ({ data: content, isBinary }))
}

/** Every kind of text frame that would kill the shell. */
const KILLERS = [
  '1',
  '-0.5',
  '1e999',
  'NaN',
  '-Infinity',
  'null',
  'true',
  '"a"',
  '[]',
  ' [{"type":"ping"}] ',
  '{"type":"resize","cols":null,"rows":24}',
  '{"type":"resize","cols":80,"rows":NaN}',
  '{"type":"resize","cols":80.5,"rows":24}',
  '{"type":"resize","cols":80,"rows":-1}',
  '{"type":"resize","cols":65536,"rows":24}',
  '{"type":"resize","cols":80,"rows":"24"}',
  '{"\\u0074ype":"resize","cols":[80]}',
]

const LONGEST_TEXT = 64 * 1024

async function play(socket: WebSocket, list: readonly Sending[]): Promise<void> {
  for (const { data, isBinary, fragments, gap } of list) {
    const step = Math.ceil(data.length / fragments)
    for (let index = 1; index <= fragments; index += 1) {
      if (gap > 0) await sleep(gap)
      const part = data.subarray(step * (index - 1), step * index)
      socket.send(part, { binary: isBinary, fin: index === fragments })
    }
  }
}

/** Input as the shell sees it: however it is cut, neighbouring bytes are one. */
function asInput(list: readonly Message[]): string[] {
  const runs: Message[] = []
  for (const message of list) {
    const last = runs.at(-1)
    if (!message.isBinary) runs.push(message)
    else if (last?.isBinary) runs[runs.length - 1] = { data: Buffer.concat([last.data, message.data]), isBinary: true }
    else if (message.data.length > 0) runs.push(message)
  }
  return runs.map(digest)
}

describe('a message', () => {
  it('arrives as it was sent, in order, whatever is on its way with it', async () => {
    const session = fc.record({
      output: sendings(fc.oneof(messages(bytes, true), messages(text, false)), 12),
      input: sendings(
        fc.oneof(
          { weight: 3, arbitrary: messages(bytes, true) },
          { weight: 1, arbitrary: messages(fc.oneof(text, command), false) },
          {
            weight: 1,
            arbitrary: messages(
              fc.constantFrom(...KILLERS).map((json) => Buffer.from(json)),
              false,
            ),
          },
        ),
        8,
      ),
      compressed: fc.boolean(),
      maxBuffered: fc.constantFrom(1, 4096, 1024 * 1024),
    })
    const runs = fc.asyncProperty(fc.array(session, { minLength: 1, maxLength: 4 }), async (sessions) => {
      await Promise.all(
        sessions.map(async ({ output, input, compressed, maxBuffered }) => {
          const perMessageDeflate = compressed && { threshold: 0 }
          const joined = await pair({ maxBuffered }, { perMessageDeflate }, { perMessageDeflate })
          const { ws, upstream, received, served } = joined
          expect(ws.extensions).toBe(compressed ? 'permessage-deflate' : '')
          await Promise.all([play(ws, input), play(upstream, output)])
          ws.send('~over')
          upstream.send('~over')
          const atClient = await upTo('~over', ws, joined.messages)
          const atUpstream = await upTo('~over', upstream, received)
          const isDropped = ({ data, isBinary }: Message): boolean =>
            !isBinary && (data.length > LONGEST_TEXT || KILLERS.includes(data.toString()))
          const wanted = input.filter((message) => !isDropped(message))

          expect(atClient.slice(1).map(digest)).toEqual(output.map(digest))
          expect(asInput(atUpstream)).toEqual(asInput(wanted))
          for (const { data, isBinary } of atUpstream) if (isBinary) expect(data.length).toBeLessThanOrEqual(4096)

          ws.close()
          expect(await served.summary).toMatchObject({
            endedBy: 'client',
            bytesToClient: total(output) + READY.length + '~over'.length,
            bytesToUpstream: total(wanted) + '~over'.length,
            dropped: input.length - wanted.length,
          })
        }),
      )
    })
    await fc.assert(runs, { numRuns: 20, endOnFailure: true })
  }, 30_000)

  it.each([
    ['in one frame', 1],
    ['in a thousand fragments', 1_000],
  ])('of 16 MiB arrives from the upstream, %s', async (_how, fragments) => {
    const joined = await pair()
    const message = { data: noise(MAX_MESSAGE), isBinary: true }
    await play(joined.upstream, [{ ...message, fragments, gap: 0 }])
    joined.upstream.send('~over')
    expect((await upTo('~over', joined.ws, joined.messages)).slice(1).map(digest)).toEqual([digest(message)])
  })

  it.each([
    ['as one message', 300_000],
    ['as messages of 1000 bytes', 1_000],
    ['as messages of 64 KiB', 65_536],
  ])('is not lost on a server that drops what comes too fast: a paste of 300 KB %s', async (_how, length) => {
    const { ws, printed } = await join({ release: 'open-terminal@0.11', shell: hashing(300_000) })
    const paste = noise(300_000)
    for (let start = 0; start < paste.length; start += length) ws.send(paste.subarray(start, start + length))
    await printed(sha256(paste))
  })
})

describe('a text frame of the client', () => {
  // Python's parser gives up on these with errors that the server does not expect.
  it.each([
    ['nests too deep', `{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`],
    ['nests too deep and never ends', '['.repeat(100_000)],
    ['has an integer of more than 4300 digits', `{"a":${'1'.repeat(4_301)}}`],
    ['has one in a resize', `{"type":"resize","cols":80,"rows":24,"a":${'1'.repeat(4_301)}}`],
  ])('is dropped when it %s', async (_what, killer) => {
    const { ws, upstream, received, served } = await pair()
    ws.send(killer)
    ws.send('~over')
    expect((await upTo('~over', upstream, received)).map(digest)).toEqual([])
    ws.close()
    expect(await served.summary).toMatchObject({ dropped: 1 })
  })

  it('is forwarded when it only looks like one that kills', async () => {
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

function total(list: readonly Message[]): number {
  return list.reduce((sum, { data }) => sum + data.length, 0)
}
