import { describe, expect, it } from 'vitest'
import type { ProbeReport } from '../../src/probe.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { withFlagNames } from '../../src/cli/failure.ts'
import { prompting } from '../support/attach.ts'
import { gateway, type Habits } from '../support/gateway.ts'
import { brokenPipe, run, start, type FakeHost, type HostOptions } from '../support/host.ts'
import { allBlocks } from '../support/pages.ts'
import { mute } from '../support/shells.ts'
import { startGateway } from '../support/terminal-gateway.ts'
import { nobody, until, upstreamOf } from '../support/upstream.ts'

const QUICK: TestUpstreamOptions = { shell: prompting, authTimeout: 250, redialDelay: 5, policies: [] }

/** Runs `probe` on a new server, and checks that it deletes its sessions and does not show the key. */
async function probe(server: TestUpstreamOptions = {}, flags: string[] = [], options: HostOptions = {}) {
  const upstream = await upstreamOf({ ...QUICK, ...server })
  const { status, stdout, stderr } = await run(['probe', upstream.url, '--user', 'ada', ...flags], options)
  expect(stdout + stderr).not.toContain('canary')
  expect(upstream.sessions).toEqual([])
  return { status, stderr, stdout: Buffer.from(stdout, 'latin1').toString(), upstream }
}

const quick = ['--idle', '0']

/** Removes the times at the ends of lines. */
function withoutTimes(table: string): string {
  return table.replaceAll(/ \(\d+ ms\)$/gm, '')
}

describe('probe', () => {
  it('prints the report that the page of the command shows', async () => {
    const { status, stdout, stderr } = await probe({ release: 'terminals@0.0.2' }, quick)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { code: shown = '' } = allBlocks.find(({ mark }) => mark === 'probe') ?? {}
    expect(shown).toContain('what to do')
    expect(withoutTimes(stdout)).toBe(withoutTimes(shown))
  })

  it.each([
    ['terminals@0.0.2', 'Terminals up to 0.0.2'],
    ['terminals@0.0.3', 'Terminals from 0.0.3 to 0.1.0'],
    ['terminals@0.2.2', 'Terminals from 0.2.0 on'],
    ['open-terminal@0.11', 'Open Terminal up to 0.12.3'],
    ['open-terminal@0.14', 'Open Terminal from 0.12.4 on'],
  ] as const)('names what %s is: %s', async (release, name) => {
    const { status, stdout } = await probe({ release }, quick)
    expect(status).toBe(0)
    expect(stdout).toContain(`release                             ${name}\n`)
  })

  it('prints the report as JSON with --json', async () => {
    const { status, stdout } = await probe({ release: 'terminals@0.0.2' }, [...quick, '--json'])
    expect(status).toBe(0)
    const report = JSON.parse(stdout) as ProbeReport
    expect(report).toMatchObject({ ok: true, works: 'token+frame', family: 'terminals@<=0.0.2' })
    expect(report.checks.map(({ name }) => name)).toContain('unknown-policy')
  })

  it('ends with 1 when something is wrong, and its advice names flags', async () => {
    const { status, stdout } = await probe({}, [...quick, '--key', 'sk-2'])
    expect(status).toBe(1)
    expect(stdout).toMatch(/^REST auth +✗ HTTP 401 Invalid API key/m)
    expect(stdout).toMatch(/^what to do +Check the key and --auth-type, and/m)
    expect(stdout).toMatch(/^attaches with +nothing$/m)
    expect(stdout).toMatch(/^release +could not be told$/m)
  })

  it.each([
    [[], 'Set the key: this server requires one.'],
    [['--auth-type', 'none'], 'Set the key: this server requires one, so --auth-type cannot be none.'],
  ])('advises a key in plain words (%j)', async (flags, advice) => {
    const { stdout } = await probe({}, [...quick, '--key', ' ', ...flags])
    expect(stdout).toContain(`what to do                          ${advice}\n`)
  })

  it('waits as long as --idle says, and keeps the key out of URLs with --token-in-url never', async () => {
    const flags = ['--idle', '0.05', '--timeout', '9', '--token-in-url', 'never']
    const { status, stdout, upstream } = await probe({ release: 'terminals@0.2.2' }, flags)
    expect(status).toBe(0)
    const [, ms] = /^left silent +✓ alive afterwards \((\d+) ms\)$/m.exec(stdout) ?? []
    // Timers may be a millisecond early.
    expect(Number(ms)).toBeGreaterThanOrEqual(49)
    expect(stdout).toMatch(/^user_id and token, then auth frame +– no key that may go into the URL/m)
    expect(upstream.requests.filter(({ query }) => query['token'] === 'sk-canary')).toEqual([])
  })

  it('reports a terminal that does not answer', async () => {
    const { status, stdout } = await probe({ shell: mute }, [...quick, '--timeout', '0.3'])
    expect(status).toBe(1)
    expect(stdout).toMatch(/^user_id, then auth frame +silence/m)
  })

  it('recognizes a gateway, and names --origin', async () => {
    const { base } = await startGateway({ authTimeout: 250 }, { shell: prompting })
    const asUser = ['--user', 'ada', '--auth-type', 'session', '--key', 'jwt-ada', ...quick]
    const { status, stdout } = await run(['probe', base, ...asUser])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^release +a gateway of terminal-upstream$/m)
    expect(stdout).toContain('Pages were not tested: probe again with the address of one as --origin.')
    const refused = await run(['probe', base, ...asUser, '--origin', 'https://chat.example'])
    expect(refused.status).toBe(1)
    expect(refused.stdout).toMatch(/^what to do +Configure the reverse proxy to pass the Host of the page on/m)
    expect((await run(['probe', base, ...asUser, '--origin', 'chat.example'])).stderr).toContain('--origin must be')
  })

  it('says in its help how many URLs have the key, and that there is a second user', async () => {
    const { stdout } = await run(['probe', '--help'])
    expect(stdout).toContain('The key is in two URLs, or in three if')
    expect(stdout).toContain('as a second user')
    expect(stdout).toContain('--origin URL')
  })

  it('shows the version that the server says it has', async () => {
    const upstream = await upstreamOf({ ...QUICK, release: 'open-terminal@0.14.5' })
    const answer: Habits['answer'] = ({ url }, response) => {
      if (url !== '/openapi.json') return false
      response.end('{"info":{"title":"Open Terminal","version":"0.14.5"}}')
      return true
    }
    const { stdout } = await run(['probe', await gateway(upstream, { answer }), '--user', 'ada', ...quick])
    expect(stdout).toMatch(/^release +Open Terminal from 0.12.4 on \(says that it is Open Terminal 0.14.5\)$/m)
  })

  it('replaces options by flags in a message', () => {
    const text = 'Set `keepAlive`, check `key` and `authType`, read `stderr`.'
    expect(withFlagNames(text)).toBe('Set --keep-alive, check the key and --auth-type, read `stderr`.')
  })

  it('prints colours on a terminal, and shows which check takes long', async () => {
    const slow: TestUpstreamOptions = { faults: { create: [{ delay: 1_300 }] } }
    const { stdout, stderr } = await probe(slow, quick, { tty: true })
    expect(stdout).toContain('\x1b[32mattached\x1b[0m')
    expect(stdout).toContain('\x1b[1mwhat to do')
    const shown = Buffer.from(stderr, 'latin1').toString().split('\r\x1b[K')
    expect(shown.slice(0, 2)).toEqual(['', 'session created … 1 s'])
    expect(shown.at(-1)).toBe('')
  })

  it.each<[what: string, end: (host: FakeHost) => void, expected: number]>([
    ['at Ctrl-C', (host) => void host.emit('SIGINT', 'SIGINT'), 130],
    ['when the reader of its output has gone', (host) => void host.stdout.destroy(brokenPipe()), 141],
  ])('ends %s, and deletes its sessions', async (_what, end, expected) => {
    const upstream = await upstreamOf({ ...QUICK, authTimeout: 60_000 })
    const { host, status } = start(['probe', upstream.url, '--user', 'ada'], { tty: true })
    await host.stdout.shows('policy')
    await until(() => upstream.sessions.length > 0)
    end(host)
    expect(await status).toBe(expected)
    expect(upstream.sessions).toEqual([])
    expect(host.eventNames()).toEqual([])
  })

  it('ends with 1 when no server listens, and rejects a URL without a scheme', async () => {
    const { status, stdout } = await run(['probe', await nobody(), '--user', 'ada'])
    expect(status).toBe(1)
    expect(stdout).toContain('nothing listens')
    expect((await run(['probe', 'localhost:8000', '--user', 'ada'])).stderr).toContain('ERR_TERMINAL_INVALID_URL')
  })
})
