import { afterEach, describe, expect, it, vi } from 'vitest'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import type { Watcher } from '../../src/gateway/watcher.ts'
import { Watchers } from '../../src/gateway/watchers.ts'
import { AUTH } from '../support/resume.ts'

afterEach(() => void vi.useRealTimers())

/** A session that the test lets print, and whose watchers get their turn when the test says so. */
function start(maxBuffered = 1024 * 1024) {
  const output = new SessionOutput({ pause() {}, resume() {} })
  output.keep(1024 * 1024)
  const settings = { maxBuffered, keepFor: 0 }
  const watchers = new Watchers({ id: 's', owner: AUTH, terminal: AUTH, output, settings } as never)
  return { output, watchers }
}

/** Lets a client look on. It takes what it is sent at once, or only when the test calls `taken`. */
function join(watchers: Watchers, isSlow = false) {
  const messages: Array<Buffer | object> = []
  const taken: Array<() => void> = []
  const socket = {
    readyState: 1,
    bufferedAmount: 0,
    send(data: Buffer, { binary }: { binary: boolean }, sent: () => void) {
      messages.push(binary ? data : JSON.parse(String(data)))
      if (isSlow) taken.push(sent)
      else sent()
    },
    terminate: vi.fn<() => void>(),
  }
  const client = { socket, counters: {}, input: { startSending() {} }, connection: { noteProgress() {} }, finish() {} }
  const watcher = watchers.join({ client, onJoined() {} } as never, null) as Watcher
  return { messages, socket, taken, watcher }
}

function bytesOf(messages: ReadonlyArray<Buffer | object>): string {
  return Buffer.concat(messages.filter((each) => Buffer.isBuffer(each))).toString()
}

describe('a client that looks on', () => {
  it('gets each byte once, also if it comes while more waits than fits into a turn', () => {
    const { output, watchers } = start()
    const first = join(watchers)
    watchers.serve()
    output.push(Buffer.alloc(100 * 1024, 'a'))
    output.push(Buffer.alloc(100 * 1024, 'b'))
    const second = join(watchers)
    // One turn for what waits, and for the replay of the second.
    watchers.serve()
    output.push(Buffer.from('c'))
    while (watchers.serve());
    const all = 'a'.repeat(100 * 1024) + 'b'.repeat(100 * 1024) + 'c'
    expect(bytesOf(first.messages) === all).toBe(true)
    expect(bytesOf(second.messages) === all).toBe(true)
  })

  it('gets the size of the window between the output before and after, and the last one when it comes', () => {
    const { output, watchers } = start()
    const first = join(watchers)
    watchers.serve()
    output.push(Buffer.from('before'))
    output.resize({ cols: 90, rows: 20 })
    output.push(Buffer.from('after'))
    watchers.serve()
    const second = join(watchers)
    while (watchers.serve());
    const size = { type: 'resize', cols: 90, rows: 20 }
    expect(first.messages.slice(-3)).toEqual([Buffer.from('before'), size, Buffer.from('after')])
    expect(second.messages.slice(1)).toEqual([size, Buffer.from('beforeafter')])
  })

  it('is left behind if more waits for it than `maxBuffered`, and catches up when it has taken that', () => {
    const { output, watchers } = start(4096)
    const { messages, socket, taken } = join(watchers, true)
    watchers.serve()
    const before = messages.length
    socket.bufferedAmount = 4096
    output.push(Buffer.from('missed'))
    watchers.serve()
    expect(messages).toHaveLength(before)
    socket.bufferedAmount = 0
    for (const sent of taken.splice(0)) sent()
    watchers.serve()
    expect(bytesOf(messages)).toBe('missed')
  })

  it('holds one size, and not all that were set, until it has taken what waits for it', () => {
    const { output, watchers } = start(4096)
    const { messages, socket, taken } = join(watchers, true)
    watchers.serve()
    const before = messages.length
    socket.bufferedAmount = 4096
    for (let cols = 1; cols < 100; cols += 1) {
      output.resize({ cols, rows: 20 })
      watchers.serve()
    }
    expect(messages).toHaveLength(before)
    socket.bufferedAmount = 0
    while (taken.length > 0) for (const sent of taken.splice(0)) sent()
    expect(messages.slice(before)).toEqual([{ type: 'resize', cols: 99, rows: 20 }])
  })

  it('gets the last size of many that are set in one turn', () => {
    const { output, watchers } = start()
    const { messages } = join(watchers)
    watchers.serve()
    const before = messages.length
    for (let cols = 1; cols < 100; cols += 1) output.resize({ cols, rows: 20 })
    expect(watchers.serve()).toBe(false)
    expect(messages.slice(before)).toEqual([{ type: 'resize', cols: 99, rows: 20 }])
  })

  it('may stay while it takes a little, and has to go when it has taken nothing for 15 s', () => {
    vi.useFakeTimers()
    const { watchers } = start()
    const { socket, watcher } = join(watchers, true)
    watchers.serve()
    socket.bufferedAmount = 100_000
    watcher.awaitDrain()
    for (let seconds = 0; seconds < 60; seconds += 4) {
      vi.advanceTimersByTime(4_000)
      socket.bufferedAmount -= 1
    }
    expect(socket.terminate).not.toHaveBeenCalled()
    vi.advanceTimersByTime(40_000)
    expect(socket.terminate).toHaveBeenCalledOnce()
  })
})
