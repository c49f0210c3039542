import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { TestShell } from '../../src/testing.ts'
import { NEWEST, pipe, prompting, user } from '../support/attach.ts'
import { brokenPipe, start } from '../support/host.ts'
import { inputFrames, randomText } from '../support/terminal.ts'
import { releases, until, upstreamOf } from '../support/upstream.ts'

/** Prints 400 KB at the first input, and ends. */
const flooding: TestShell = ({ output, exit }) => ({
  input() {
    for (let count = 0; count < 100; count += 1) void output('x'.repeat(4096))
    exit()
  },
})

describe('attach in a pipe', () => {
  it.each(releases)('runs the commands in the pipe on %s, and ends with 0 when the shell ends', async (release) => {
    const { upstream, ...outcome } = await pipe('echo "6 x 7 = $((6 * 7))"; exit\n', { release })
    expect(outcome).toEqual({ status: 0, stdout: expect.stringContaining('6 x 7 = 42\n') as string, stderr: '' })
    expect(upstream.sessions).toEqual([])
  })

  it.each([
    ['echo $((6 * 7))\n', /^\$ 42\n/],
    ['', /^\$ /],
  ])('ends the shell at the end of the input %j', async (input, output) => {
    const { status, stdout } = await pipe(input)
    expect(status).toBe(0)
    expect(stdout).toMatch(output)
  })

  it('adds the line feed that the last line lacks', async () => {
    const { status, upstream } = await pipe('ls')
    expect(status).toBe(0)
    expect(Buffer.concat(inputFrames(upstream)).toString()).toBe('ls\n\u0004')
  })

  it.each([
    ['prints output', (io: Parameters<TestShell>[0]) => void io.output('$ ')],
    ['prints nothing', () => {}],
  ])('ends a shell that misses the first end of transmission and %s', async (_what, notice) => {
    let ends = 0
    const shell: TestShell = (io) => ({
      input(data) {
        ends += data.filter((byte) => byte === 4).length
        if (ends === 2) io.exit()
        else notice(io)
      },
    })
    expect(await pipe('x\n', { shell })).toMatchObject({ status: 0 })
    expect(ends).toBe(2)
  })

  it('sends 50 KB to an old server without loss', async () => {
    const piped = `${randomText(79)}\n`.repeat(625)
    const shell: TestShell = ({ output, exit }) => ({
      input: (data) => (data.includes(4) ? exit() : void output(data)),
    })
    expect(await pipe(piped, { release: 'open-terminal@0.11', shell })).toMatchObject({ status: 0, stdout: piped })
  })

  it('fails when an old server has a program that does not read, and deletes the session', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'], shouldAdvanceTime: true })
    onTestFinished(() => void vi.useRealTimers())
    const upstream = await upstreamOf({ release: 'open-terminal@0.11', shell: () => ({ input() {} }) })
    const { host, status } = start(['attach', upstream.url, ...user], { piped: randomText(50_000) })
    await until(() => inputFrames(upstream).reduce((sum, { length }) => sum + length, 0) === 16_384)
    await vi.advanceTimersByTimeAsync(31_000)
    expect(await status).toBe(1)
    expect(host.stderr.text).toMatch(/33616 of 50000 bytes were not sent.*run 0\.12\.4 or later/)
    expect(upstream.sessions).toEqual([])
  })

  it('prints all output to a slow reader', async () => {
    const { url } = await upstreamOf({ shell: flooding, release: NEWEST })
    const { host, status } = start(['attach', url, ...user], { piped: 'x' })
    host.stdout.stick()
    await until(() => host.stdout.writableNeedDrain)
    host.stdout.flow()
    expect(await status).toBe(0)
    expect(host.stdout.text).toHaveLength(409_600)
  })

  it.each([
    ['EPIPE', 141, ''],
    ['ENOSPC', 1, 'terminal-upstream: ENOSPC: The output cannot be written: write ENOSPC.\n'],
  ])('ends when its output fails with %s, with %i, and deletes the session', async (code, expected, stderr) => {
    const upstream = await upstreamOf({ shell: prompting })
    const { host, status } = start(['attach', upstream.url, ...user])
    await host.stdout.shows('$ ')
    host.stdout.destroy(brokenPipe(code))
    expect(await status).toBe(expected)
    expect(host.stderr.text).toBe(stderr)
    expect(upstream.sessions).toEqual([])
  })

  it('ends with 141 when the pipe breaks after the shell has ended', async () => {
    const upstream = await upstreamOf({ shell: flooding, release: NEWEST })
    const { host, status } = start(['attach', upstream.url, ...user], { piped: 'x' })
    host.stdout.stick()
    await until(() => host.stdout.writableNeedDrain && upstream.sessions.length === 0)
    await until(() => upstream.requests.some(({ method }) => method === 'DELETE'))
    host.stdout.destroy(brokenPipe())
    expect(await status).toBe(141)
  })

  it('neither sets raw mode nor detaches at ~.', async () => {
    const upstream = await upstreamOf({ shell: prompting, release: NEWEST })
    const { host, status } = start(['attach', upstream.url, ...user], { tty: { stdout: true }, piped: '~.\nQ' })
    expect(await status).toBe(0)
    expect(host.raw).toEqual([])
    expect(host.stdout.text).toContain('~.\n')
  })
})
