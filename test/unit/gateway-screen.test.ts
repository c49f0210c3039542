import { SerializeAddon } from '@xterm/addon-serialize'
import { Terminal } from '@xterm/headless'
import { describe, expect, it } from 'vitest'
import { connectTerminal } from '../../src/index.ts'
import { createTerminalGateway } from '../../src/gateway.ts'
import type { Replay } from '../../src/gateway/replay.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import type { ProxyClient } from '../support/proxy.ts'
import { AUTH, output, parked, resume } from '../support/resume.ts'
import { ask, attachAs, pageOf, untilParked } from '../support/terminal-gateway.ts'
import { until } from '../support/upstream.ts'
import { countedTerminals, viewOf } from '../support/whole-screens.ts'
import { Witness } from '../support/witness.ts'

const screen = { Terminal, SerializeAddon }

const SPINNER = Array.from({ length: 400 }, (_, number) => `\r\x1b[Kspinner ${number}`).join('')
const PROGRAM = `step 1\r\nstep 2\r\n${SPINNER}`

const size = (cols: number, rows = 24): string => JSON.stringify({ type: 'resize', cols, rows })

/** A session whose first lines are not kept any more. */
function spinning(options: Parameters<typeof parked>[1] = {}): ReturnType<typeof parked> {
  return parked(PROGRAM, { screen, replayBytes: 1_000, ...options })
}

async function shown(bytes: Uint8Array | string, cols = 80): Promise<Witness> {
  const witness = new Witness(cols, 24, 1_000)
  await witness.show(bytes)
  return witness
}

/** Classes that draw nothing until `go` is called. */
function stopped(): { screen: typeof screen; go: () => void; readonly waiting: number } {
  const waiting: (() => void)[] = []
  let isOver = false
  class Stopped extends Terminal {
    override write(data: string | Uint8Array, done?: () => void): void {
      if (isOver) super.write(data, done)
      else waiting.push(() => super.write(data, done))
    }
  }
  const go = (): void => {
    isOver = true
    for (const write of waiting.splice(0)) write()
  }
  return {
    screen: { Terminal: Stopped, SerializeAddon },
    go,
    get waiting() {
      return waiting.length
    },
  }
}

/** Attaches a client that has no output, and tells its size. */
async function join(...[gateway, id]: Parameters<typeof attachAs>): Promise<ProxyClient> {
  const client = await attachAs(gateway, id, { ...AUTH, offset: null })
  client.ws.send(size(80))
  return client
}

describe('a client whose output is not kept any more', () => {
  it.each([
    [null, 80],
    [null, 100],
    [0, 80],
    [5, 60],
  ])('at %s gets the whole screen, in a window of %i columns', async (offset, cols) => {
    const { gateway, id, print } = await spinning()
    const client = await attachAs(gateway, id, { ...AUTH, offset })
    client.ws.send(size(cols))
    await until(() => client.messages.length > 1)
    const { missing, offset: first, live } = JSON.parse(String(client.messages[0]?.data))
    expect(missing).toBeUndefined()
    expect([live, first]).toEqual([PROGRAM.length, PROGRAM.length - output(client).length])
    const witness = await shown(PROGRAM)
    witness.terminal.resize(cols, 24)
    expect(viewOf(await shown(Buffer.concat(binary(client)), cols))).toEqual(viewOf(witness))
    await print('next')
    await client.printed('next')
    expect(output(client).endsWith('next')).toBe(true)
  })

  it('gets it also if it knows nothing of offsets, or does not tell its size', async () => {
    const { gateway, id } = await spinning()
    const client = await attachAs(gateway, id)
    await until(() => client.messages.length > 0)
    expect(viewOf(await shown(client.bytes()))).toEqual(viewOf(await shown(PROGRAM)))
  })

  it('is not made to draw its screen again by another size', async () => {
    const sizes: string[] = []
    const shell = (): object => ({ input() {}, resize: (cols: number, rows: number) => sizes.push(`${cols}x${rows}`) })
    const { gateway, id } = await parked(PROGRAM, { screen, replayBytes: 1_000 }, { shell: shell as never })
    sizes.length = 0
    const client = await join(gateway, id)
    await until(() => client.messages.length > 1)
    client.ws.send(size(90))
    await until(() => sizes.length === 2)
    expect(sizes).toEqual(['80x24', '90x24'])
  })

  it('and only looks on gets it, and so does one who follows', async () => {
    const { gateway, id } = await spinning()
    const watcher = await attachAs(gateway, id, { ...AUTH, offset: null, watch: true })
    await until(() => binary(watcher).length > 0)
    const expected = viewOf(await shown(PROGRAM))
    expect(viewOf(await shown(Buffer.concat(binary(watcher))))).toEqual(expected)
    const [session] = gateway.gateway.sessions
    for await (const event of session ?? []) {
      if (event.type !== 'output') continue
      expect(viewOf(await shown(event.data))).toEqual(expected)
      break
    }
    expect(await session?.text()).toBe('step 1\nstep 2\nspinner 399')
  })

  it('of connectTerminal gets it at the size of its window', async () => {
    const { gateway, id } = await spinning()
    const terminal = await connectTerminal({ ...pageOf(gateway), sessionId: id, size: { cols: 120, rows: 24 } })
    const chunks: Uint8Array[] = []
    terminal.onData((chunk) => chunks.push(chunk))
    const witness = await shown(PROGRAM)
    witness.terminal.resize(120, 24)
    await until(() => Buffer.concat(chunks).includes('spinner 399'))
    expect(viewOf(await shown(Buffer.concat(chunks), 120))).toEqual(viewOf(witness))
    await terminal.detach()
  })

  it('at an exact offset gets what it missed at once, and no screen', async () => {
    const { screen: never } = stopped()
    const { gateway, id } = await spinning({ screen: never })
    const client = await resume(gateway, id, PROGRAM.length - 3)
    await client.printed('399')
    expect(output(client)).toBe('399')
  })
})

describe('while the screen is drawn', () => {
  it.each(['gets it', 'leaves'])('the upstream waits until the client %s', async (what) => {
    const flow: string[] = []
    const source = { pause: () => void flow.push('pause'), resume: () => void flow.push('resume') }
    const session = new SessionOutput(source, { cols: 80, rows: 24 }, screen)
    const got: string[] = []
    const client = { push() {}, end() {}, replay: (data: Buffer) => void got.push(String(data)) }
    const wait = (): void => {
      session.join(() => client as never, { onStalled: () => void flow.push('stalled') })
      session.hold()
    }
    wait()
    session.push(Buffer.from('printed meanwhile'))
    expect([flow, got]).toEqual([['pause'], []])
    if (what === 'leaves') session.part()
    else session.replay({ offset: -3, data: Buffer.from('all print') } as Replay)
    expect(flow).toEqual(['pause', 'resume'])
    expect(got).toEqual(what === 'leaves' ? [] : ['all print', 'ted meanwhile'.slice(-11)])
    session.release()
  })

  it('the client before is told that the session was taken over, and the one after takes over', async () => {
    const classes = stopped()
    const { gateway, id } = await spinning({ screen: classes.screen })
    const first = await join(gateway, id)
    await until(() => gateway.gateway.sessions[0]?.attachedSince !== undefined)
    const second = await join(gateway, id)
    expect(await first.closed).toMatchObject({ code: 4009 })
    expect(first.messages).toEqual([])
    classes.go()
    await until(() => second.messages.length > 1)
    expect(viewOf(await shown(Buffer.concat(binary(second))))).toEqual(viewOf(await shown(PROGRAM)))
  })

  it('a client that leaves parks the session, and the upstream goes on', async () => {
    const classes = stopped()
    const { gateway, id, print } = await spinning({ screen: classes.screen })
    const client = await join(gateway, id)
    await until(() => gateway.gateway.sessions[0]?.attachedSince !== undefined)
    client.ws.terminate()
    await untilParked(gateway)
    await print('while nobody is here')
    classes.go()
    const next = await join(gateway, id)
    await until(() => next.messages.length > 1)
    const all = `${PROGRAM}while nobody is here`
    expect(viewOf(await shown(Buffer.concat(binary(next))))).toEqual(viewOf(await shown(all)))
  })

  it('the shell may end: the client gets the screen, and then the end', async () => {
    const classes = stopped()
    const { gateway, id } = await spinning({ screen: classes.screen })
    const client = await join(gateway, id)
    await until(() => gateway.gateway.sessions[0]?.attachedSince !== undefined)
    gateway.upstream.sessions[0]?.exit()
    await until(() => gateway.upstream.sessions.length === 0)
    classes.go()
    expect(await client.closed).toMatchObject({ code: 1000 })
    expect(viewOf(await shown(Buffer.concat(binary(client))))).toEqual(viewOf(await shown(PROGRAM)))
  })

  it('the gateway may close', async () => {
    const { screen: never } = stopped()
    const { gateway, id } = await spinning({ screen: never })
    const client = await join(gateway, id)
    await until(() => gateway.gateway.sessions[0]?.attachedSince !== undefined)
    await gateway.gateway.close()
    expect(await client.closed).toMatchObject({ code: 1012 })
    expect(gateway.upstream.sessions).toEqual([])
  })
})

it('is drawn no more when the session has ended', async () => {
  const { Counted, count } = countedTerminals()
  const { gateway, id } = await spinning({ screen: { Terminal: Counted, SerializeAddon } })
  await until(() => count.made === 1)
  expect(count.disposed).toBe(0)
  await ask(gateway, 'DELETE', `/${id}`)
  await until(() => count.disposed === 1)
  expect(count.made).toBe(1)
})

it('is shown also after the shell has ended', async () => {
  const { gateway, id } = await spinning()
  gateway.upstream.sessions[0]?.exit()
  await until(() => gateway.gateway.sessions.length === 0)
  const client = await join(gateway, id)
  expect(await client.closed).toMatchObject({ code: 1000, reason: 'exited' })
  expect(viewOf(await shown(Buffer.concat(binary(client))))).toEqual(viewOf(await shown(PROGRAM)))
})

it.each([
  [null, '`screen` must be an object, got null'],
  [Terminal, '`screen` must be an object, got function'],
  [{ SerializeAddon }, '`screen.Terminal` must be the class of that name of @xterm/headless, got undefined'],
  [
    { Terminal, SerializeAddon: 'x' },
    '`screen.SerializeAddon` must be the class of that name of @xterm/addon-serialize, got string',
  ],
])('%j is no `screen`', (given, message) => {
  const authorize = (): never => {
    throw new Error('unused')
  }
  expect(() => createTerminalGateway({ authorize, screen: given as never })).toThrow(
    expect.objectContaining({ name: 'TypeError', message }),
  )
})

function binary({ messages }: ProxyClient): Uint8Array[] {
  return messages.filter(({ isBinary }) => isBinary).map(({ data }) => data)
}
