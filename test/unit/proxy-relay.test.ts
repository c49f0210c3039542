import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { join, KIB, MIB, type Message } from '../support/proxy.ts'
import { digest, noise, OVER, pair, READY, upTo } from '../support/proxy-pair.ts'
import { echoingHash, randomText, sha256 } from '../support/terminal.ts'

/** A message and how to send it. */
interface Sending extends Message {
  /** The number of frames. */
  readonly fragments: number
  /** ms before each frame, 0 for the same turn of the event loop. */
  readonly gap: number
}

const size = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 1, 125, 126, 127, 4095, 4096, 4097, 65_535, 65_536) },
  { weight: 3, arbitrary: fc.nat(1_000) },
  { weight: 1, arbitrary: fc.nat(200_000) },
)
const bytes = fc.tuple(size, fc.nat()).map(([length, seed]) => noise(length, seed))
// Text that begins with ~ is not JSON: a client gets it, and an upstream does not.
const text = fc.oneof(
  bytes.map((random) => Buffer.from(`~${random.toString('base64')}`.slice(0, random.length))),
  fc.string({ unit: 'grapheme', maxLength: 2_000 }).map((characters) => Buffer.from(`~${characters}`)),
)
const COMMANDS = ['{"type":"ping"}', '{"type":"resize","cols":132,"rows":50}']

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

/** What is dropped: frames that servers ignore, and every kind that would end the shell. */
const DROPPED = [
  '{}',
  '{"type":"ü"',
  `{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`,
  `{"a":${'1'.repeat(4_301)}}`,
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

/** Sends the messages one after another. */
async function sendAll(socket: WebSocket, list: readonly Sending[]): Promise<void> {
  for (const { data, isBinary, fragments, gap } of list) {
    const step = Math.ceil(data.length / fragments)
    for (let index = 1; index <= fragments; index += 1) {
      if (gap > 0) await sleep(gap)
      const part = data.subarray(step * (index - 1), step * index)
      socket.send(part, { binary: isBinary, fin: index === fragments })
    }
  }
}

/** Returns the messages as the shell sees them: adjacent binary messages are joined. */
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
  it('arrives unchanged and in order on either side, whatever else is sent', async () => {
    const session = fc.record({
      output: sendings(fc.oneof(messages(bytes, true), messages(text, false)), 12),
      input: sendings(
        fc.oneof(
          { weight: 3, arbitrary: messages(bytes, true) },
          {
            weight: 1,
            arbitrary: messages(
              fc.constantFrom(...COMMANDS).map((json) => Buffer.from(json)),
              false,
            ),
          },
          {
            weight: 1,
            arbitrary: messages(
              fc.oneof(
                text,
                fc.constantFrom(...DROPPED).map((json) => Buffer.from(json)),
              ),
              false,
            ),
          },
        ),
        8,
      ),
      compressed: fc.boolean(),
      maxBuffered: fc.constantFrom(1, 4096, MIB),
    })
    const runs = fc.asyncProperty(fc.array(session, { minLength: 1, maxLength: 4 }), async (sessions) => {
      await Promise.all(
        sessions.map(async ({ output, input, compressed, maxBuffered }) => {
          const perMessageDeflate = compressed && { threshold: 0 }
          const joined = await pair({ maxBuffered }, { perMessageDeflate }, { perMessageDeflate })
          const { ws, upstream, received, served } = joined
          expect(ws.extensions).toBe(compressed ? 'permessage-deflate' : '')
          await Promise.all([sendAll(ws, input), sendAll(upstream, output)])
          ws.send(OVER)
          upstream.send('~over')
          const atClient = await upTo('~over', ws, joined.messages)
          const atUpstream = await upTo(OVER, upstream, received)
          const wanted = input.filter(({ data, isBinary }) => isBinary || COMMANDS.includes(data.toString()))

          expect(atClient.slice(1).map(digest)).toEqual(output.map(digest))
          expect(asInput(atUpstream)).toEqual(asInput(wanted))
          for (const { data, isBinary } of atUpstream) if (isBinary) expect(data.length).toBeLessThanOrEqual(4096)

          ws.close()
          expect(await served.summary).toMatchObject({
            endedBy: 'client',
            bytesToClient: total(output) + READY.length + '~over'.length,
            bytesToUpstream: total(wanted) + OVER.length,
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
  ])('of 16 MiB from the upstream, %s, arrives at the client', async (_how, fragments) => {
    const joined = await pair()
    const message = { data: noise(16 * MIB), isBinary: true }
    await sendAll(joined.upstream, [{ ...message, fragments, gap: 0 }])
    joined.upstream.send('~over')
    expect((await upTo('~over', joined.ws, joined.messages)).slice(1).map(digest)).toEqual([digest(message)])
  })
})

describe('a paste of 300 KB', () => {
  it.each([
    ['one message', 300_000],
    ['messages of 1000 bytes', 1_000],
    ['messages of 64 KiB', 64 * KIB],
  ])('arrives whole, as %s, at an old server whose program repeats it', async (_how, length) => {
    const { ws, printed } = await join({ release: 'open-terminal@0.11', shell: echoingHash(300_000) })
    const paste = Buffer.from(randomText(300_000))
    for (let start = 0; start < paste.length; start += length) ws.send(paste.subarray(start, start + length))
    await printed(sha256(paste))
  })
})

function total(list: readonly Message[]): number {
  return list.reduce((sum, { data }) => sum + data.length, 0)
}
