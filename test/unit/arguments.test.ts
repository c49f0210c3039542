import { describe, expect, it } from 'vitest'
import { assertKnown } from '../../src/lib/arguments.ts'

const KNOWN = ['base', 'userId', 'sessionId', 'retry', 'replayBytes', 'maxSessionsPerUser', 'keepAlive', 'tokenInUrl']

describe('assertKnown', () => {
  it.each([
    ['replay', 'replayBytes'],
    ['sessionsPerUser', 'maxSessionsPerUser'],
    ['keepalive', 'keepAlive'],
    ['tokenInURL', 'tokenInUrl'],
    ['sesionId', 'sessionId'],
    ['bsae', 'base'],
    ['retries', 'retry'],
    ['__proto__', 'retry'],
  ])('says that %j is not an option, and that %j is meant', (name, nearest) => {
    const options = Object.fromEntries([
      ['base', 'http://a'],
      [name, 1],
    ]) as object
    expect(() => assertKnown('connectTerminal', options, KNOWN)).toThrow(
      Object.assign(new TypeError(`\`${name}\` is not an option of connectTerminal. Did you mean \`${nearest}\`?`), {
        code: 'ERR_INVALID_ARG_VALUE',
      }),
    )
  })

  it('accepts every option that exists, and one that is undefined', () => {
    const options = { ...Object.fromEntries(KNOWN.map((name) => [name, null])), other: undefined }
    expect(() => assertKnown('connectTerminal', options, KNOWN)).not.toThrow()
  })
})
