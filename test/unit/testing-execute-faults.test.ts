import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { TestFaults, TestOperation, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { ask, start, withDefaults } from '../support/raw-client.ts'
import { folder, printed, runCommand, statusOf, textOf, type, type Status } from '../upstream/commands.ts'

/** Resolves with an answer, or with the code of the error that `fetch` rejects with. */
async function outcome(request: Promise<unknown>): Promise<unknown> {
  try {
    return await request
  } catch (error) {
    return error instanceof Error && error.cause instanceof Error && 'code' in error.cause ? error.cause.code : error
  }
}

async function list(upstream: TestUpstream): Promise<Status[]> {
  return (await ask(upstream, 'GET', '/execute'))[1] as Status[]
}

/** An upstream with a command that runs, and a file. */
interface Setup {
  readonly upstream: TestUpstream
  readonly id: string
  readonly file: string
}

interface Call {
  readonly operation: TestOperation
  readonly send: (setup: Setup) => Promise<[status: number, body: unknown]>
  /** Whether the request was carried out; a request that only asks changes nothing. */
  readonly isDone: (setup: Setup) => Promise<boolean>
}

function formOf(content: string): FormData {
  const form = new FormData()
  form.append('file', new Blob([content]), 'new')
  return form
}

const never = (): Promise<boolean> => Promise.resolve(false)
const calls: Call[] = [
  {
    operation: 'execute',
    send: ({ upstream }) => ask(upstream, 'POST', '/execute', {}, { command: ':' }),
    isDone: async ({ upstream }) => (await list(upstream)).length === 2,
  },
  { operation: 'commands', send: ({ upstream }) => ask(upstream, 'GET', '/execute'), isDone: never },
  { operation: 'status', send: ({ upstream, id }) => ask(upstream, 'GET', `/execute/${id}/status`), isDone: never },
  {
    operation: 'input',
    send: ({ upstream, id }) => type(upstream, id, 'typed'),
    isDone: async ({ upstream, id }) => textOf(await statusOf(upstream, id)).includes('typed'),
  },
  {
    operation: 'kill',
    send: ({ upstream, id }) => ask(upstream, 'DELETE', `/execute/${id}`),
    isDone: async ({ upstream, id }) => (await statusOf(upstream, id)).status === 'killed',
  },
  {
    operation: 'upload',
    send: ({ upstream, file }) => ask(upstream, 'POST', `/files/upload?directory=${file}-new`, {}, formOf('x')),
    isDone: ({ file }) => Promise.resolve(existsSync(`${file}-new/new`)),
  },
  {
    operation: 'remove',
    send: ({ upstream, file }) => ask(upstream, 'DELETE', `/files/delete?path=${file}`),
    isDone: ({ file }) => Promise.resolve(!existsSync(file)),
  },
]

describe.each(calls)('the operation $operation', ({ operation, send, isDone }) => {
  it('is carried out although its answer is lost, but not when it is refused', async () => {
    const faults: TestFaults = {}
    const upstream = await start({ faults })
    const file = join(await folder(), 'file')
    await writeFile(file, '')
    const { id } = await runCommand(upstream, 'exec sleep 60', 'wait=0')
    const setup = { upstream, id, file }
    faults[operation] = { refuse: 503, body: 'later' }
    expect(await send(setup)).toEqual([503, 'later'])
    faults[operation] = undefined
    expect(await isDone(setup)).toBe(false)
    faults[operation] = 'drop'
    expect(await outcome(send(setup))).toBe('UND_ERR_SOCKET')
    expect(upstream.requests.at(-1)?.status).toBeUndefined()
    faults[operation] = undefined
    expect(await isDone(setup)).toBe(isDone !== never)
    // A file that is gone, and a command that is `killed`, are so only once.
    expect((await send(setup))[0]).toBe(operation === 'remove' ? 404 : 200)
  })
})

describe('an answer that is lost behind the orchestrator (PROTOCOL 9.17)', () => {
  const LOST = 'drop-inner'
  const FAILED = [502, { error: 'Upstream connection failed' }]
  const ERROR = [500, 'Internal Server Error']
  const OK = [200, expect.objectContaining({ command: ':' })]

  it.each<[TestUpstreamOptions['release'], faults: TestFaults['execute'], answer: unknown, times: number]>([
    ['terminals@0.0.2', [LOST], ERROR, 1],
    ['terminals@0.0.3', [LOST], ERROR, 1],
    ['terminals@0.2.2', [LOST], OK, 2],
    ['terminals@0.2.2', [LOST, LOST, LOST], OK, 4],
    ['terminals@0.2.2', LOST, FAILED, 5],
    ['terminals@0.2.2', [LOST, { refuse: 503 }], [503, ''], 1],
    ['terminals@0.2.2', [LOST, 'drop'], 'UND_ERR_SOCKET', 2],
    ['open-terminal@0.14.5', [LOST], 'UND_ERR_SOCKET', 1],
  ])('%s with %j answers %j, and has run the command %i times', async (release, execute, answer, times) => {
    const upstream = await start({ release, faults: { execute } })
    expect(await outcome(ask(upstream, 'POST', '/execute', {}, { command: ':' }))).toEqual(answer)
    expect(await list(upstream)).toHaveLength(times)
    expect(upstream.requests).toHaveLength(2)
  })

  it('is not asked for again if the body of the request had no length', async () => {
    const upstream = await start({ release: 'terminals@0.2.2', faults: { execute: [LOST] } })
    const body = new Blob(['{"command":":"}']).stream()
    const headers = withDefaults({ 'content-type': 'application/json' })
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', headers, body, duplex: 'half' }
    const response = await fetch(`${upstream.url}/execute`, init)
    expect([response.status, await response.json()]).toEqual(FAILED)
    expect(await list(upstream)).toHaveLength(1)
  })

  it('is asked for again for a session, too', async () => {
    const upstream = await start({ release: 'terminals@0.2.2', faults: { create: [LOST] } })
    expect((await ask(upstream, 'POST'))[0]).toBe(200)
    expect(upstream.sessions).toHaveLength(2)
  })
})

describe('input that the program does not read (PROTOCOL 9.11)', () => {
  const LINE = `${'x'.repeat(2047)}\n`

  /** Types 12 KB into a command that does not read, and then more. */
  async function fill(upstream: TestUpstream, command: string): Promise<{ id: string; more: Promise<unknown> }> {
    const { id } = await runCommand(upstream, command, 'wait=0')
    for (let count = 0; count < 6; count += 1) expect(await type(upstream, id, LINE)).toEqual([200, { status: 'ok' }])
    return { id, more: outcome(type(upstream, id, LINE.repeat(3))) }
  }

  it.each<TestUpstreamOptions>([
    { release: 'open-terminal@0.8.1' },
    { release: 'open-terminal@0.11' },
    { release: 'open-terminal@0.14' },
    { release: 'terminals@0.0.3' },
    { release: 'terminals@0.2.2', inner: 'open-terminal@0.14' },
  ])('stops %j for good', async (options) => {
    const upstream = await start(options)
    const { more } = await fill(upstream, 'exec sleep 60')
    const isOrchestrator = options.release?.startsWith('terminals')
    const paths = ['/execute', '/api/terminals', ...(isOrchestrator ? [] : ['/nowhere'])]
    const others = paths.map((path) => outcome(ask(upstream, 'GET', path)))
    // The POST, seven times input, and these.
    await expect.poll(() => upstream.requests.length, { interval: 5 }).toBe(8 + paths.length)
    // The container of another user goes on.
    const other = outcome(ask(upstream, 'GET', '/execute', { 'x-user-id': 'bob' }))
    if (isOrchestrator) expect(await other).toEqual([200, []])
    else others.push(other)
    await upstream.close()
    const ends = await Promise.all([more, ...others])
    expect(ends).toEqual(ends.map(() => expect.stringMatching(/UND_ERR_SOCKET|ECONNRESET/)))
  })

  it('holds an old server up only until the program reads it', async () => {
    const upstream = await start({ release: 'open-terminal@0.11' })
    const go = join(await folder(), 'go')
    const { id, more } = await fill(upstream, `until [ -e '${go}' ]; do sleep 0.01; done; wc -c`)
    const asked = ask(upstream, 'GET', '/execute')
    await writeFile(go, '')
    expect(await more).toEqual([200, { status: 'ok' }])
    expect(await asked).toMatchObject([200, [{ id }]])
    await type(upstream, id, '\\x04')
    expect(textOf(await statusOf(upstream, id, 'wait=25'))).toMatch(/\n\s*18432\r\n$/)
  })

  it('holds up nothing else since 0.14.2, and is refused when the command ends', async () => {
    const upstream = await start({ release: 'open-terminal@0.14.5' })
    const { id, more } = await fill(upstream, 'echo "<$$>"; exec sleep 60')
    const [, pid] = /<(\d+)>/.exec(textOf(await printed(upstream, id, '>'))) ?? []
    await runCommand(upstream, `kill ${pid}`)
    expect(await more).toEqual([400, { detail: 'Process stdin is closed' }])
    expect(await statusOf(upstream, id, 'wait=25')).toMatchObject({ exit_code: -15 })
  })

  it('is cut at 4095 bytes in each line, and shows control characters', async () => {
    const upstream = await start()
    const { id } = await runCommand(upstream, 'wc -c', 'wait=0')
    await type(upstream, id, `\\x03${'x'.repeat(5000)}\\r`)
    await type(upstream, id, 'é\\x04\\x04')
    const text = textOf(await statusOf(upstream, id, 'wait=25'))
    expect(text).toMatch(/^\^Cx{5000}\r\né\s*4098\r\n$/)
  })
})
