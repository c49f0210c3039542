import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import type { TestSession, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { API, ask, attach, create, next, roundTrip, start, type RawSocket } from '../support/raw-client.ts'
import { outputWith } from '../support/upstream.ts'
import { isRunning } from '../support/testing-process.ts'

/** Runs a command, and resolves with its output. */
async function run({ ws, bytes, printed }: RawSocket, command: string): Promise<string> {
  const before = bytes().length
  ws.send(Buffer.from(`${command}; echo d'one'\n`))
  await printed('done\n', before)
  return bytes().subarray(before).toString()
}

interface ShTerminal {
  upstream: TestUpstream
  session: TestSession
  socket: RawSocket
}

/** Starts an upstream with a real `sh`, and attaches a client. */
async function sh(options: TestUpstreamOptions = {}): Promise<ShTerminal> {
  const upstream = await start({ ...options, shell: 'sh' })
  const session = await create(upstream)
  return { upstream, session, socket: await attach(upstream, session.id) }
}

it('echo prompts at once, so that an attach does not wait for `settle`', async () => {
  const { url: base } = await start({ key: '', shell: 'echo' })
  const terminal = await connectTerminal({ base, userId: 'ada', settle: 2_147_483_647, timeout: 8_000 })
  const output = outputWith(terminal, 'hello')
  await terminal.write('hello')
  expect(await output).toBe('$ hello')
  await terminal.close()
})

describe('sh', () => {
  it('reads a carriage return as the end of a line, and Ctrl-D as the end of the input, like a PTY', async () => {
    const { upstream, socket } = await sh()
    await socket.printed('$ ')
    socket.ws.send(Buffer.from('echo d"one"\r\u0004echo never\n'))
    socket.ws.send(Buffer.from('echo never\n'))
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
    await roundTrip(socket)
    expect(socket.bytes().toString()).toMatch(/done\n(?!.*never)/s)
  })

  it('prints a prompt, and the output and errors of commands', async () => {
    const { socket } = await sh()
    await socket.printed('$ ')
    expect(await run(socket, 'echo $((6 * 7)); echo oops >&2')).toContain('42\noops\ndone\n')
  })

  it.each([{ release: 'terminals@0.2.2', inner: 'open-terminal@0.11' }, { release: 'open-terminal@0.11' }] as const)(
    'ends the session without a notice at `exit` on $release',
    async (options) => {
      const { upstream, session, socket } = await sh(options)
      await socket.printed('$ ')
      socket.ws.send(Buffer.from('exit\n'))
      await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
      socket.ws.send(Buffer.from('echo $((6 * 7))\n'))
      expect(await next(socket)).toBe('silence')
      expect((await ask(upstream, 'GET', `${API}/${session.id}`))[0]).toBe(404)
    },
  )

  it.each<[how: string, (terminal: ShTerminal) => unknown]>([
    ['the session is deleted', ({ upstream, session }) => ask(upstream, 'DELETE', `${API}/${session.id}`)],
    ['its only client leaves', ({ socket }) => socket.ws.close()],
    ['the shell exits', ({ socket }) => socket.ws.send(Buffer.from('exit\n'))],
    ['the shell is killed', ({ socket }) => socket.ws.send(Buffer.from('kill -9 $$\n'))],
    ['the shell dies of poison', ({ socket }) => socket.ws.send('1')],
    ['the upstream closes', ({ upstream }) => upstream.close()],
  ])('and its child processes end when %s', async (_how, end) => {
    const terminal = await sh({ release: 'open-terminal@0.11' })
    const printed = await run(terminal.socket, 'sleep 1000 & echo "pids: $$ $!"')
    const pids = (/pids: (.*)/.exec(printed)?.[1] ?? '').split(' ').map(Number)
    expect(pids.map(isRunning)).toEqual([true, true])
    await end(terminal)
    await expect.poll(() => pids.map(isRunning), { interval: 5 }).toEqual([false, false])
    await expect.poll(() => terminal.upstream.sessions, { interval: 5 }).toEqual([])
  })

  it('reads and prints more than a pipe holds', async () => {
    const { socket } = await sh({ release: 'open-terminal@0.14' })
    const text = 'x'.repeat(300_000)
    expect(await run(socket, `cat <<'E' | wc -c\n${text}\nE\ntrue`)).toContain('300001')
    expect(await run(socket, "head -c 300000 /dev/zero | tr '\\0' y")).toContain('y'.repeat(300_000))
  })

  it('waits for a client that does not read', async () => {
    const { upstream, socket } = await sh()
    await socket.printed('$ ')
    socket.ws.pause()
    socket.ws.send(Buffer.from('exec head -c 12000000 /dev/zero\n'))
    // Long enough for the shell to print everything and exit, if it did not wait.
    await sleep(200)
    expect(upstream.sessions.length).toBe(1)
    socket.ws.resume()
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
    await roundTrip(socket)
    expect(socket.bytes().length).toBe('$ '.length + 12_000_000)
  })

  it('ends at once on a machine without sh', async () => {
    const path = process.env['PATH']
    onTestFinished(() => void (process.env['PATH'] = path))
    process.env['PATH'] = '/nowhere'
    const upstream = await start({ shell: 'sh' })
    await ask(upstream, 'POST')
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
  })
})

/** Starts a shell that never stops printing, with a client that does not read. */
async function flooding(): Promise<{
  upstream: TestUpstream
  socket: RawSocket
  standstill: () => Promise<number>
  printed: () => number
}> {
  let count = 0
  const shell: TestShell = ({ output }) => {
    const flood = async (): Promise<void> => {
      for (;;) {
        await output(new Uint8Array(65_536))
        count += 1
      }
    }
    return { input: () => void flood() }
  }
  const upstream = await start({ release: 'terminals@0.2.2', shell })
  const socket = await attach(upstream)
  socket.ws.pause()
  socket.ws.send(Buffer.from('x'))
  // Resolves once the shell has stopped printing. No event tells that.
  async function standstill(): Promise<number> {
    for (;;) {
      const before = count
      await sleep(25)
      if (before > 0 && count === before) return count
    }
  }
  return { upstream, socket, standstill, printed: () => count }
}

describe('a function as the shell', () => {
  it('is called for every session, and gets the input, the sizes and one call of kill', async () => {
    const calls: unknown[] = []
    const shell: TestShell = () => {
      calls.push('started')
      return {
        input: (data) => void calls.push(Buffer.from(data).toString()),
        resize: (cols, rows) => void calls.push([cols, rows]),
        kill: () => void calls.push('killed'),
      }
    }
    const upstream = await start({ release: 'open-terminal@0.11', shell })
    const socket = await attach(upstream)
    await create(upstream)
    socket.ws.send(Buffer.from('typed'))
    socket.ws.send('{"type":"resize","cols":132,"rows":50}')
    socket.ws.send('1')
    await socket.ended
    expect(calls).toEqual(['started', 'started', 'typed', [132, 50], 'killed'])
    await upstream.close()
    await upstream.close()
    expect(calls.slice(5)).toEqual(['killed'])
  })

  describe('that never stops printing', () => {
    it('waits for a client that does not read', async () => {
      const { socket, standstill, printed } = await flooding()
      const held = await standstill()
      socket.ws.resume()
      await expect.poll(printed, { interval: 5 }).toBeGreaterThan(held)
    })

    it.each<[how: string, (upstream: TestUpstream, socket: RawSocket) => unknown]>([
      ['the upstream closes', (upstream) => upstream.close()],
      ['the session is deleted', (upstream) => ask(upstream, 'DELETE', `${API}/${upstream.sessions[0]?.id}`)],
      ['the client is closed', (upstream) => upstream.sessions[0]?.close(1012)],
      ['the client is reset', (upstream) => upstream.sessions[0]?.reset()],
      ['the client leaves', (_upstream, { ws }) => ws.terminate()],
    ])('stops when %s', async (_how, end) => {
      const { upstream, socket, standstill } = await flooding()
      await standstill()
      await end(upstream, socket)
      socket.ws.resume()
      await standstill()
    })
  })

  it('can await that its output has been sent to a client', async () => {
    const upstream = await start()
    const session = await create(upstream)
    let sent = false
    const printed = session.output('for the first client').then(() => (sent = true))
    await ask(upstream, 'GET')
    expect(sent).toBe(false)
    const socket = await attach(upstream, session.id)
    await printed
    await socket.printed('for the first client')
  })
})
