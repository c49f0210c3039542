import { describe, expect, it } from 'vitest'
import { TerminalError } from '../../src/index.ts'
import { advise } from '../../src/cli/failure.ts'
import { statusError } from '../../src/upstream/failures.ts'
import { run, start } from '../support/host.ts'
import { nobody, upstreamOf } from '../support/upstream.ts'

describe('attach', () => {
  it.each([true, false])(
    'says after the first try why it failed, and goes on trying (on a terminal: %j)',
    async (tty) => {
      const { host, status } = start(['attach', await nobody(), '--user', 'ada'], { tty })
      await host.stderr.shows('nothing listens there. Trying again.\n')
      host.emit('SIGINT', 'SIGINT')
      expect(await status).toBe(130)
      expect(host.stderr.text.match(/Trying again\./g)).toHaveLength(1)
    },
  )
})

describe('a command that fails', () => {
  it.each([
    ['attach', '--user', "o'neil", '--chat', 'c 1', '--key', 'sk-canary-2', '--token-in-url', 'never'],
    ['list', '--user', "o'neil", '--chat', 'c 1', '--key', 'sk-canary-2', '--timeout', '9'],
    ['rm', 's1', '--user', "o'neil", '--chat', 'c 1', '--key', 'sk-canary-2', '--header', 'X-A: canary'],
  ])('ends with the command that finds out more, with its flags and without secrets: %s', async (name, ...rest) => {
    const { url } = await upstreamOf()
    const { stderr } = await run([name, `${url}?pass=canary`, ...rest])
    // A probe must not put into URLs what the command has kept out of them.
    const limit = rest.includes('never') ? ' --token-in-url never' : ''
    const header = rest.includes('--header') ? " --header 'X-A: ***'" : ''
    expect(stderr).toMatch(/ERR_TERMINAL_UNAUTHORIZED: /)
    expect(
      stderr.endsWith(` run: terminal-upstream probe '${url}?***' --user 'o'\\''neil' --chat 'c 1'${limit}${header}\n`),
    ).toBe(true)
    expect(stderr).not.toContain('canary')
  })
})

describe('a command without a key', () => {
  it.each([['attach'], ['list'], ['rm', 's1']])(
    'says where it can come from, but not where a proxy wants a login: %s',
    async (command, ...ids) => {
      const keyless = { env: { TERMINAL_UPSTREAM_KEY: undefined } }
      const { stderr } = await run([command, (await upstreamOf()).url, ...ids, '--user', 'ada'], keyless)
      expect(stderr).toMatch(/ERR_TERMINAL_UNAUTHORIZED: .* Set TERMINAL_UPSTREAM_KEY, or use --key-file\.\n$/)
      const headers = { 'www-authenticate': 'Basic realm="private"', 'content-type': 'text/html' }
      const refused = { refuse: 401, headers }
      const { url } = await upstreamOf({ faults: { create: refused, list: refused, delete: refused } })
      const behind = await run([command, url, ...ids, '--user', 'ada'], keyless)
      expect(behind.stderr).toMatch(/basic auth in --header .*, with the --auth-type none, .*\. To find out more/)
      expect(behind.stderr).not.toContain('TERMINAL_UPSTREAM_KEY')
    },
  )
})

describe('advise', () => {
  const call = { url: 'http://h', rest: [], flags: {}, headers: [] }
  const source = { authType: 'bearer', key: 'sk-1' }
  const more = ' To find out more, run: terminal-upstream probe http://h'

  it.each([
    new TerminalError('ERR_TERMINAL_LIMIT', 'full'),
    new TerminalError('ERR_TERMINAL_IN_USE', 'in use'),
    new TypeError('wrong'),
    'text',
  ])('changes nothing of %s, of which a probe knows no more', (error) => {
    expect(advise(error, call, source)).toBe(error)
  })

  it('adds nothing for a --session that is gone', () => {
    const error = new TerminalError('ERR_TERMINAL_NOT_FOUND', 'gone')
    expect(advise(error, { ...call, flags: { session: 's1' } }, source)).toBe(error)
    expect(advise(error, call, source)).toMatchObject({ message: `gone${more}` })
  })

  it.each([
    [401, 'bearer', ' ', ' Set TERMINAL_UPSTREAM_KEY, or use --key-file.'],
    [401, 'bearer', 'sk-1', more],
    [401, 'none', undefined, more],
    [403, 'bearer', undefined, more],
  ])('adds to HTTP %i with the auth type %s and the key %j:%s', (status, authType, key, added) => {
    const error = statusError('Cannot', status, { says: 'Invalid API key' })
    expect(advise(error, call, { authType, key })).toMatchObject({ message: error.message + added })
  })
})
