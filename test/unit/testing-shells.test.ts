import { fstatSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { TestSession, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { API, ask, attach, create, next, roundTrip, start, type RawSocket } from '../support/raw-client.ts'
import { isRunning } from '../support/testing-process.ts'

async function run({ ws, bytes, printed }: RawSocket, command: string): Promise<string> {
  const before = bytes().length
  ws.send(Buffer.from(`${command}; echo d'one'\n`))
  await printed('done\n', before)
  return bytes().subarray(before).toString()
}

interface Terminal {
  upstream: TestUpstream
  session: TestSession
  socket: RawSocket
}

async function sh(options: TestUpstreamOptions = {}): Promise<Terminal> {
  const upstream = await start({ ...options, shell: 'sh' })
  const session = await create(upstream)
  return { upstream, session, socket: await attach(upstream, session.id) }
}

/** How many pipes and sockets this process holds open. Node does not list those that let a process end. */
function pipes(): number {
  const open = readdirSync('/dev/fd').filter((descriptor) => {
    try {
      const stats = fstatSync(Number(descriptor))
      return stats.isSocket() || stats.isFIFO()
    } catch {
      return false
    }
  })
  return open.length
}

describe('sh', () => {
  it('holds nothing open when nobody reads what it still prints', async () => {
    // The first test: another's shell that is just going would be counted too.
    const { upstream, session, socket } = await sh()
    await socket.printed('$ ')
    socket.ws.pause()
    socket.ws.send(Buffer.from('yes\n'))
    await sleep(100)
    const before = pipes()
    await ask(upstream, 'DELETE', `${API}/${session.id}`)
    await expect.poll(pipes, { interval: 5 }).toBe(before - 2)
  })

  it('takes a carriage return for the end of a line, as a PTY does', async () => {
    const { socket } = await sh()
    await socket.printed('$ ')
    socket.ws.send(Buffer.from('echo d"one"\r'))
    await socket.printed('done\n')
  })

  it('takes Ctrl-D for the end of what is typed, as a PTY does', async () => {
    const { upstream, socket } = await sh()
    await socket.printed('$ ')
    socket.ws.send(Buffer.from('echo d"one"\n\u0004echo never\n'))
    socket.ws.send(Buffer.from('echo never\n'))
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
    await roundTrip(socket)
    expect(socket.bytes().toString()).toMatch(/done\n(?!.*never)/s)
  })

  it('prompts, and prints what commands print, errors too', async () => {
    const { socket } = await sh()
    await socket.printed('$ ')
    expect(await run(socket, 'echo $((6 * 7)); echo oops >&2')).toContain('42\noops\ndone\n')
  })

  it.each([{ release: 'terminals@0.2.2', inner: 'open-terminal@0.11' }, { release: 'open-terminal@0.11' }] as const)(
    'ends the session silently at `exit` on $release',
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

  it.each<[how: string, (terminal: Terminal) => unknown]>([
    ['the session is deleted', ({ upstream, session }) => ask(upstream, 'DELETE', `${API}/${session.id}`)],
    ['its only client leaves', ({ socket }) => socket.ws.close()],
    ['the shell exits', ({ socket }) => socket.ws.send(Buffer.from('exit\n'))],
    ['the shell is killed', ({ socket }) => socket.ws.send(Buffer.from('kill -9 $$\n'))],
    ['the shell dies of poison', ({ socket }) => socket.ws.send('1')],
    ['the upstream closes', ({ upstream }) => upstream.close()],
  ])('leaves nothing behind when %s', async (_how, end) => {
    const terminal = await sh({ release: 'open-terminal@0.11' })
    const printed = await run(terminal.socket, 'sleep 1000 & echo "pids: $$ $!"')
    const pids = (/pids: (.*)/.exec(printed)?.[1] ?? '').split(' ').map(Number)
    expect(pids.map(isRunning)).toEqual([true, true])
    await end(terminal)
    await expect.poll(() => pids.map(isRunning), { interval: 5 }).toEqual([false, false])
    await expect.poll(() => terminal.upstream.sessions, { interval: 5 }).toEqual([])
  })

  it('is killed when the process exits, by one listener for all shells', async () => {
    const { upstream } = await sh({ inner: 'open-terminal@0.11' })
    await create(upstream)
    const listeners = process.listeners('exit').filter(({ name }) => name === 'killRunning')
    expect(listeners.length).toBe(1)
    listeners[0]?.(0)
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
  })

  it('loses input that nothing reads any more', async () => {
    const { upstream, socket } = await sh()
    socket.ws.send(Buffer.from("exec <&-; echo d'one'; sleep 1000\n"))
    await socket.printed('done')
    socket.ws.send(Buffer.from('x\n'))
    await roundTrip(socket)
    expect(upstream.sessions.length).toBe(1)
  })

  it('takes more than a pipe holds, and prints it', async () => {
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
    await sleep(200)
    expect(upstream.sessions.length).toBe(1)
    socket.ws.resume()
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
    await roundTrip(socket)
    expect(socket.bytes().length).toBe('$ '.length + 12_000_000)
  })

  it('ends at once where there is no sh', async () => {
    const path = process.env['PATH']
    onTestFinished(() => void (process.env['PATH'] = path))
    process.env['PATH'] = '/nowhere'
    const upstream = await start({ shell: 'sh' })
    await ask(upstream, 'POST')
    await expect.poll(() => upstream.sessions, { interval: 5 }).toEqual([])
  })
})

const leaving: TestShell = ({ output, exit }) => ({
  input() {
    void output('bye')
    exit()
  },
})

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
  async function standstill(): Promise<number> {
    for (;;) {
      const before = count
      await sleep(25)
      if (before > 0 && count === before) return count
    }
  }
  return { upstream, socket, standstill, printed: () => count }
}

describe('a shell of one’s own', () => {
  it('is started for every session, and ended once', async () => {
    const log: string[] = []
    const shell: TestShell = () => {
      log.push('started')
      return { input() {}, kill: () => void log.push('killed') }
    }
    const upstream = await start({ release: 'open-terminal@0.11', shell })
    const socket = await attach(upstream)
    await create(upstream)
    socket.ws.send('1')
    await socket.ended
    expect(log).toEqual(['started', 'started', 'killed'])
    await upstream.close()
    await upstream.close()
    expect(log).toEqual(['started', 'started', 'killed', 'killed'])
  })

  it('gets input, sizes and its end', async () => {
    const calls: unknown[] = []
    const upstream = await start({
      shell: () => ({
        input: (data) => void calls.push(Buffer.from(data).toString()),
        resize: (cols, rows) => void calls.push([cols, rows]),
        kill: () => void calls.push('killed'),
      }),
    })
    const { id } = await create(upstream)
    const socket = await attach(upstream, id)
    socket.ws.send(Buffer.from('typed'))
    socket.ws.send('{"type":"resize","cols":132,"rows":50}')
    await roundTrip(socket)
    await ask(upstream, 'DELETE', `${API}/${id}`)
    expect(calls).toEqual(['typed', [132, 50], 'killed'])
  })

  it('ends the session silently', async () => {
    const upstream = await start({ inner: 'open-terminal@0.11', shell: leaving })
    const socket = await attach(upstream)
    socket.ws.send(Buffer.from('x'))
    await socket.printed('bye')
    expect(upstream.sessions).toEqual([])
    socket.ws.send(Buffer.from('x'))
    expect(await next(socket)).toBe('silence')
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
    ])('stands still when %s', async (_how, end) => {
      const { upstream, socket, standstill } = await flooding()
      await standstill()
      await end(upstream, socket)
      socket.ws.resume()
      await standstill()
    })
  })

  it('loses what has not left when the session is deleted', async () => {
    const upstream = await start({ release: 'terminals@0.2.2' })
    const session = await create(upstream)
    const socket = await attach(upstream, session.id)
    socket.ws.pause()
    void session.output(new Uint8Array(12_000_000))
    await ask(upstream, 'DELETE', `${API}/${session.id}`)
    socket.ws.resume()
    let received: number
    do {
      received = socket.bytes().length
      await roundTrip(socket)
    } while (received < socket.bytes().length)
    expect(received).toBeLessThan(12_000_000)
  })

  it('is told when its output has left for a client', async () => {
    const upstream = await start()
    const session = await create(upstream)
    let left = false
    const printed = session.output('to whom it may concern').then(() => (left = true))
    await ask(upstream, 'GET')
    expect(left).toBe(false)
    const socket = await attach(upstream, session.id)
    await printed
    await socket.printed('to whom it may concern')
  })
})
