import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { TestRelease, TestUpstreamOptions } from '../../src/testing.ts'
import { ask, orchestrators, ownServers, releases, start, withDefaults } from '../support/raw-client.ts'
import { isRunning } from '../support/testing-process.ts'
import { folder, NOT_FOUND, printed, runCommand, statusOf, textOf, type Status } from '../upstream/commands.ts'

// What all releases do, and how they differ, is in test/upstream/commands.ts: testing-cases.test.ts runs it here, too.

/** Runs a command that goes on until it is killed; resolves with its id and the one of its process. */
async function running(
  upstream: { url: string },
  before: string = '',
  forever: string = 'exec sleep 60',
): Promise<{ id: string; pid: number }> {
  const { id } = await runCommand(upstream, `${before}echo "<$$>"; ${forever}`, 'wait=0')
  const text = textOf(await printed(upstream, id, '>'))
  return { id, pid: Number(/<(\d+)>/.exec(text)?.[1]) }
}

async function list(upstream: { url: string }, prefix: string = ''): Promise<Status[]> {
  return (await ask(upstream, 'GET', `${prefix}/execute`))[1] as Status[]
}

describe.each(releases)('%s', (release) => {
  it('names the folder of a command only since 0.14.1, and records what it ran', async () => {
    const upstream = await start({ release })
    const answer = await runCommand(upstream, { command: 'echo $A', env: { A: 'b' } })
    const isNew = ['terminals@0.2.2', 'open-terminal@0.14.2', 'open-terminal@0.14.5'].includes(release)
    expect('cwd' in answer).toBe(isNew)
    expect(upstream.requests.at(-1)?.body).toBe('{"command":"echo $A","env":{"A":"b"}}')
  })

  it('forgets a command 300 s after its end, and not before (PROTOCOL 9.4)', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const upstream = await start({ release })
    const { id } = await runCommand(upstream, ':')
    const { id: other, pid } = await running(upstream)
    vi.setSystemTime(Date.now() + 299_000)
    expect(await statusOf(upstream, id)).toMatchObject({ status: 'done' })
    vi.setSystemTime(Date.now() + 2_000)
    expect(await ask(upstream, 'GET', `/execute/${id}/status`)).toEqual(NOT_FOUND)
    expect(await list(upstream)).toMatchObject([{ id: other, status: 'running' }])
    process.kill(pid)
  })

  it('ends every process of its commands when it closes, and every request', async () => {
    const upstream = await start({ release })
    const { id, pid } = await running(upstream, 'sleep 60 >/dev/null 2>&1 </dev/null & echo "{$!}"; ')
    const child = Number(/\{(\d+)\}/.exec(textOf(await statusOf(upstream, id)))?.[1])
    const waiting = ask(upstream, 'GET', `/execute/${id}/status?wait=300`)
    await Promise.all([expect(waiting).rejects.toThrow(), upstream.close()])
    await expect.poll(() => [pid, child].filter(isRunning), { interval: 5 }).toEqual([])
  })
})

describe.each(orchestrators)('%s (PROTOCOL 9.16)', (release) => {
  it('runs commands below a policy, and in the container of the user', async () => {
    const upstream = await start({ release, policies: ['gold'] })
    const run = (path: string, headers = {}) => ask(upstream, 'POST', path, headers, { command: ':' })
    expect(await run('/p/gold/execute')).toMatchObject([200, { command: ':' }])
    expect([await list(upstream, '/p/gold'), await list(upstream)]).toMatchObject([[{ command: ':' }], []])
    expect(await run('/p/iron/execute')).toEqual([404, { detail: "Policy 'iron' not found" }])
    expect(await run('/execute', { authorization: undefined })).toEqual([
      401,
      { detail: 'Missing Authorization header' },
    ])
    expect(await run('/execute', { 'x-user-id': undefined })).toMatchObject([422, { detail: [{ type: 'missing' }] }])
  })

  it('ends the commands of a container that is idle', async () => {
    const upstream = await start({ release, idleTimeout: 200 })
    const { id, pid } = await running(upstream)
    await expect.poll(() => isRunning(pid), { interval: 20 }).toBe(false)
    expect(await ask(upstream, 'GET', `/execute/${id}/status`)).toEqual(NOT_FOUND)
  })
})

it.each(ownServers)('%s has no policies', async (release) => {
  expect(await ask(await start({ release }), 'GET', '/p/gold/execute')).toEqual([404, { detail: 'Not Found' }])
})

it('wants a user in multi-user mode', async () => {
  const upstream = await start({ release: 'open-terminal@0.14.5', multiUser: true })
  const answer = await ask(upstream, 'POST', '/execute', { 'x-user-id': undefined }, { command: ':' })
  expect(answer).toEqual([400, { detail: 'X-User-Id is required in multi-user mode' }])
})

describe('tail (PROTOCOL 9.2)', () => {
  it.each<[release: TestRelease, count: number, nextOffset: number, truncated: boolean]>([
    ['open-terminal@0.8.1', 2, 3, true],
    ['open-terminal@0.8.1', 3, 3, false],
    ['open-terminal@0.11', 2, 2, true],
    ['open-terminal@0.11', 3, 3, true],
    ['open-terminal@0.14', 2, 3, true],
    ['open-terminal@0.14', 3, 3, false],
  ])('of %s: %i of 3 entries', async (release, count, nextOffset, truncated) => {
    const upstream = await start({ release })
    const { id, output } = await runCommand(upstream, 'printf 1; sleep 0.1; printf 2; sleep 0.1; printf 3')
    expect(output).toHaveLength(3)
    const answer = await statusOf(upstream, id, `tail=${count}`)
    expect(answer).toMatchObject({ output: output.slice(-count), next_offset: nextOffset, truncated })
    expect(await statusOf(upstream, id, 'offset=2&tail=2')).toMatchObject({ output: output.slice(2), next_offset: 3 })
  })
})

describe('DELETE (PROTOCOL 9.12)', () => {
  const trap = `trap 'echo bye; exit 5' TERM; `
  const busy = 'while :; do sleep 0.01; done'

  it.each<[release: TestRelease, status: unknown, output: string]>([
    ['open-terminal@0.8.1', NOT_FOUND, ''],
    ['open-terminal@0.11', NOT_FOUND, ''],
    ['open-terminal@0.14', [200, { status: 'killed', exit_code: 5 }], 'loses its last words'],
    ['open-terminal@0.14.5', [200, { status: 'killed', exit_code: 5 }], 'keeps them'],
  ])('of %s leaves %j, and %s', async (release, answer, words) => {
    const upstream = await start({ release })
    const { id } = await running(upstream, trap, busy)
    expect(await ask(upstream, 'DELETE', `/execute/${id}`)).toEqual([200, { status: 'killed' }])
    const [code, status] = await ask(upstream, 'GET', `/execute/${id}/status`)
    expect([code, status]).toMatchObject(answer as [])
    if (code === 200) expect(textOf(status as Status).includes('bye')).toBe(words === 'keeps them')
  })

  it.each<[release: TestRelease, first: unknown, meanwhile: unknown, force: unknown]>([
    ['open-terminal@0.11', [200, { status: 'killed' }], 'running', [500, 'Internal Server Error']],
    ['open-terminal@0.14', undefined, 'killed', [200, { status: 'killed' }]],
    ['open-terminal@0.14.5', undefined, 'killed', [200, { status: 'killed' }]],
  ])('of %s hangs while SIGTERM is ignored', async (release, first, meanwhile, force) => {
    const upstream = await start({ release })
    const { id, pid } = await running(upstream, "trap '' TERM; ", 'while :; do sleep 60; done')
    const hanging = ask(upstream, 'DELETE', `/execute/${id}`).catch(() => undefined)
    await expect.poll(() => upstream.requests.at(-1)?.method, { interval: 5 }).toBe('DELETE')
    expect(await statusOf(upstream, id)).toMatchObject({ status: meanwhile, exit_code: null })
    expect(await ask(upstream, 'DELETE', `/execute/${id}?force=true`)).toEqual(force)
    // From 0.12.4 on the command goes on.
    expect(isRunning(pid)).toBe(first === undefined)
    if (first === undefined) await upstream.close()
    expect(await hanging).toEqual(first)
  })

  it('of a command that has ended changes nothing since 0.12.4', async () => {
    const upstream = await start({ release: 'open-terminal@0.14' })
    const { id } = await runCommand(upstream, 'exit 3')
    expect(await ask(upstream, 'DELETE', `/execute/${id}`)).toEqual([200, { status: 'killed' }])
    expect(await statusOf(upstream, id)).toMatchObject({ status: 'done', exit_code: 3 })
  })
})

describe('uploads (PROTOCOL 9.18)', () => {
  const form = (value: string | Blob, name?: string): FormData => {
    const data = new FormData()
    if (typeof value === 'string') data.append('file', value)
    else data.append('file', value, name)
    return data
  }

  it.each<[release: TestRelease, name: string, path: string]>([
    ['open-terminal@0.8.1', '../x', 'new/../x'],
    ['open-terminal@0.11', '../x', 'new/x'],
  ])('%s writes %s to %s', async (release, name, path) => {
    const upstream = await start({ release })
    const parent = await folder()
    const query = new URLSearchParams({ directory: `${parent}/new` })
    const answer = await ask(upstream, 'POST', `/files/upload?${query}`, {}, form(new Blob(['x']), name))
    expect(answer).toEqual([200, { path: `${parent}/${path}`, size: 1 }])
    expect(existsSync(join(parent, path))).toBe(true)
  })

  const MISSING = [422, { detail: [expect.objectContaining({ type: 'missing', loc: ['body', 'file'] })] }]
  it.each<[what: string, options: TestUpstreamOptions, query: string, content: object, answer: unknown]>([
    ['without a file', { release: 'open-terminal@0.8.1' }, 'directory=/', {}, [400, { detail: expect.any(String) }]],
    ['without a file', { release: 'open-terminal@0.11' }, 'directory=/', new FormData(), MISSING],
    ['that is JSON', {}, 'directory=/', {}, MISSING],
    [
      'that is text',
      {},
      'directory=/',
      form('x'),
      [422, { detail: [expect.objectContaining({ type: 'value_error' })] }],
    ],
    ['without a folder', {}, '', form(new Blob()), [422, { detail: [expect.objectContaining({ type: 'missing' })] }]],
    ['into a file', {}, 'directory=/bin/sh', form(new Blob(), 'x'), [400, { detail: expect.any(String) }]],
  ])('refuses an upload %s (%j)', async (_what, options, query, content, answer) => {
    expect(await ask(await start(options), 'POST', `/files/upload?${query}`, {}, content)).toEqual(answer)
  })

  it('deletes an empty folder, and no full one', async () => {
    const upstream = await start()
    const path = await folder()
    const remove = `/files/delete?${new URLSearchParams({ path })}`
    const query = new URLSearchParams({ directory: path })
    await ask(upstream, 'POST', `/files/upload?${query}`, {}, form(new Blob(), 'x'))
    expect(await ask(upstream, 'DELETE', remove)).toEqual([400, { detail: expect.any(String) }])
    await ask(upstream, 'DELETE', `${remove}/x`)
    expect(await ask(upstream, 'DELETE', remove)).toEqual([200, { path, type: 'directory' }])
    expect(await ask(upstream, 'DELETE', '/files/delete')).toMatchObject([
      422,
      { detail: [{ loc: ['query', 'path'] }] },
    ])
  })
})

it('answers a body that is no JSON with 422', async () => {
  const { url } = await start()
  const send = async (type: string, body: string): Promise<unknown> => {
    const headers = withDefaults({ 'content-type': type })
    const response = await fetch(`${url}/execute`, { method: 'POST', headers, body })
    return [response.status, ((await response.json()) as { detail: Array<{ type: string }> }).detail[0]?.type]
  }
  expect(await send('application/json', '{')).toEqual([422, 'json_invalid'])
  expect(await send('text/plain', '{"command":":"}')).toEqual([422, 'model_attributes_type'])
})
