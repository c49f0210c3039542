import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ClientConnection, type ClientClose } from '../../src/client/connection.ts'
import { ClientInput } from '../../src/client/input.ts'
import { MessageQueue } from '../../src/client/message-queue.ts'
import type { ClientSocket } from '../../src/client/socket.ts'
import { tcpOf } from '../support/frames.ts'
import { connectBothSides, MIB } from '../support/proxy.ts'
import { countJsonParses } from '../support/proxy-json.ts'
import { until } from '../support/upstream.ts'

/** Returns the connection of a socket, and a promise of how it ends. */
function connectionOf(socket: ClientSocket): { connection: ClientConnection; ended: Promise<ClientClose> } {
  let connection: ClientConnection | undefined
  const ended = new Promise<ClientClose>((resolve) => {
    connection = new ClientConnection(socket, { onOverflow() {}, onClientGone: resolve })
  })
  return connection ? { connection, ended } : expect.unreachable()
}

it('the connection of a client does not pause its socket after close, because a paused socket never receives the close frame', async () => {
  const { client, socket } = await connectBothSides()
  const { connection, ended } = connectionOf(socket)
  connection.close(4000, 'bye')
  connection.pause()
  expect(socket.isPaused).toBe(false)
  expect(await ended).toEqual({ code: 4000, reason: 'bye' })
  expect(await client.closed).toEqual({ code: 4000, reason: 'bye' })
})

it('the connection of a client ends by force when the client does not answer the close, or breaks the protocol and stays', async () => {
  const ends = ['silent', 'broken'].map(async (kind) => {
    const { client, socket } = await connectBothSides()
    const { connection, ended } = connectionOf(socket)
    const tcp = tcpOf(client.ws)
    // The client's process reads nothing more. Its operating system keeps the connection.
    tcp.pause()
    if (kind === 'silent') connection.close(1000, '')
    else tcp.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    return ended
  })
  expect(await Promise.all(ends)).toEqual([
    { code: 1006, reason: '' },
    { code: 1006, reason: '' },
  ])
})

/** Creates a queue that delivers to a list. */
function queueOf(): { delivered: string[]; isPaused: () => boolean; queue: MessageQueue } {
  const delivered: string[] = []
  let paused = false
  const socket = { pause: () => void (paused = true), resume: () => void (paused = false) }
  const queue = new MessageQueue(socket)
  queue.receiver = { push: (data) => void delivered.push(data.toString()) }
  return { delivered, isPaused: () => paused, queue }
}

describe('the queue of a client', () => {
  it('delivers 64 tiny messages per turn, all of them in order, and makes the client wait meanwhile', async () => {
    const { delivered, isPaused, queue } = queueOf()
    for (let index = 0; index < 150; index += 1) queue.push(Buffer.from(String(index)), true)
    const counts = [delivered.length]
    expect(isPaused()).toBe(true)
    for (let turns = 0; turns < 3; turns += 1) {
      await turn()
      counts.push(delivered.length)
    }
    expect(counts.slice(0, 3)).toEqual([64, 128, 150])
    expect(isPaused()).toBe(false)
    expect(delivered).toEqual(Array.from({ length: 150 }, (_item, index) => String(index)))
  })

  it('delivers nothing during a pause, and continues in order afterwards', async () => {
    const { delivered, isPaused, queue } = queueOf()
    queue.push(Buffer.from('one'), true)
    queue.pause()
    queue.push(Buffer.from('two'), true)
    await turn()
    expect([delivered, isPaused()]).toEqual([['one'], true])
    queue.resume()
    queue.push(Buffer.from('three'), true)
    await turn()
    expect([delivered, isPaused()]).toEqual([['one', 'two', 'three'], false])
  })

  it('continues at the end of the turn after a pause that was shorter than the turn', async () => {
    const { delivered, queue } = queueOf()
    queue.resume()
    queue.push(Buffer.from('one'), true)
    queue.pause()
    queue.push(Buffer.from('two'), true)
    queue.resume()
    expect(delivered).toEqual(['one'])
    await turn()
    expect(delivered).toEqual(['one', 'two'])
  })

  it('calls the callback of end when everything has been delivered', async () => {
    const { delivered, queue } = queueOf()
    const ended: number[] = []
    for (let index = 0; index < 70; index += 1) queue.push(Buffer.from('x'), true)
    queue.end(() => ended.push(delivered.length))
    expect(ended).toEqual([])
    await turn()
    expect(ended).toEqual([70])
  })

  it('once closed, still makes the client wait after its share of a turn', async () => {
    const { isPaused, queue } = queueOf()
    queue.close()
    for (let index = 0; index < 64; index += 1) queue.push(Buffer.from('x'), true)
    expect(isPaused()).toBe(true)
    await turn()
    expect(isPaused()).toBe(false)
  })

  it('drops the messages that wait when it is closed, and no longer pauses the socket', async () => {
    const { delivered, isPaused, queue } = queueOf()
    queue.pause()
    queue.push(Buffer.from('one'), true)
    queue.close()
    queue.pause()
    queue.resume()
    queue.push(Buffer.from('two'), true)
    await turn()
    expect([delivered, isPaused()]).toEqual([[], false])
  })
})

/** Creates the input of a client, for a terminal that keeps the beginning of each message until `take` is called. */
function inputOf(): { input: ClientInput; sent: string[]; calls: string[]; take: () => void; open: () => void } {
  const [sent, calls, waiting]: [string[], string[], Array<() => void>] = [[], [], []]
  const source = { pause: () => void calls.push('pause'), resume: () => void calls.push('resume') }
  const counters = { bytesToClient: 0, bytesToUpstream: 0, inputDropped: 0, dropped: 0 }
  const input = new ClientInput(source, { onOverflow: () => expect.unreachable() }, counters)
  const note = (data: string | Uint8Array): Promise<void> => {
    sent.push(Buffer.from(data).toString().slice(0, 36))
    return new Promise((resolve) => waiting.push(resolve))
  }
  return {
    input,
    sent,
    calls,
    take: () => waiting.splice(0).forEach((resolve) => resolve()),
    open: () => input.startSending({ write: note, command: note }),
  }
}

it('the input of a client whose terminal opens while early messages are read keeps their order', async () => {
  const { input, sent, open } = inputOf()
  const resizeTo = (cols: number): string => `{"type":"resize","cols":${cols},"rows":1}`
  for (let cols = 1; cols < 5; cols += 1) input.push(Buffer.from(resizeTo(cols).padEnd(50_000)), false)
  input.startReading(MIB)
  open()
  input.push(Buffer.from('typed'), true)
  await until(() => sent.includes('typed'))
  input.push(Buffer.from('later'), true)
  input.push(Buffer.from('[]'), false)
  // Of the sizes that came before the terminal was open, those that have been read count as one.
  expect(sent).toEqual([2, 3, 4].map(resizeTo).concat('typed', 'later'))
})

it.each([
  ['heartbeats', Buffer.from('{"type":"ping"}'), false],
  ['keys', Buffer.from('x'), true],
])('a client waits while too many of its %s wait for the upstream', async (_what, message, isBinary) => {
  const { input, sent, calls, take, open } = inputOf()
  input.startReading(10_000)
  open()
  for (let count = 0; count < 100 && calls.length === 0; count += 1) input.push(message, isBinary)
  expect(calls).toEqual(['pause'])
  // About 512 bytes of memory for each message.
  expect([19, 20]).toContain(sent.length)
  take()
  await until(() => calls.length === 2)
  expect(calls).toEqual(['pause', 'resume'])
})

it('a text frame of more than 64 KiB is dropped without being parsed', async () => {
  const { input, sent, open } = inputOf()
  input.startReading(MIB)
  open()
  const parses = await countJsonParses(async () => input.push(Buffer.from('{"type":"ping"}'.padEnd(65_537)), false))
  expect([sent, parses]).toEqual([[], 0])
})
