import { describe, expect, it } from 'vitest'
import { createTerminalGateway, type TerminalGatewayOptions } from '../../src/gateway.ts'
import { neverAuthorize } from '../support/proxy.ts'

describe('createTerminalGateway', () => {
  it.each<[options: object | undefined, name: string, code: string]>([
    [undefined, 'options', 'ERR_INVALID_ARG_TYPE'],
    [{}, 'authorize', 'ERR_INVALID_ARG_TYPE'],
    [{ path: 7 }, 'path', 'ERR_INVALID_ARG_TYPE'],
    [{ path: 'terminal' }, 'path', 'ERR_INVALID_ARG_VALUE'],
    [{ path: '/terminal/' }, 'path', 'ERR_INVALID_ARG_VALUE'],
    [{ path: '/?' }, 'path', 'ERR_INVALID_ARG_VALUE'],
    [{ origins: 'https://chat.example' }, 'origins', 'ERR_INVALID_ARG_TYPE'],
    [{ origins: ['https://chat.example/'] }, 'origins', 'ERR_INVALID_ARG_VALUE'],
    [{ origins: ['chat.example'] }, 'origins', 'ERR_INVALID_ARG_VALUE'],
    [{ origins: [7] }, 'origins', 'ERR_INVALID_ARG_VALUE'],
    [{ keepFor: -1 }, 'keepFor', 'ERR_OUT_OF_RANGE'],
    [{ keepFor: 2 ** 31 }, 'keepFor', 'ERR_OUT_OF_RANGE'],
    [{ replayBytes: 1.5 }, 'replayBytes', 'ERR_OUT_OF_RANGE'],
    [{ replayBytes: 8 * 1024 * 1024 + 1 }, 'replayBytes', 'ERR_OUT_OF_RANGE'],
    [{ maxSessionsPerUser: 0 }, 'maxSessionsPerUser', 'ERR_OUT_OF_RANGE'],
    [{ maxUnauthenticated: 0 }, 'maxUnauthenticated', 'ERR_OUT_OF_RANGE'],
    [{ authTimeout: 0 }, 'authTimeout', 'ERR_OUT_OF_RANGE'],
    [{ recheckEvery: -1 }, 'recheckEvery', 'ERR_OUT_OF_RANGE'],
    [{ name: 7 }, 'name', 'ERR_INVALID_ARG_TYPE'],
    [{ name: '' }, 'name', 'ERR_INVALID_ARG_VALUE'],
    [{ name: 'Blue' }, 'name', 'ERR_INVALID_ARG_VALUE'],
    [{ name: 'a.b' }, 'name', 'ERR_INVALID_ARG_VALUE'],
    [{ name: 'a\n' }, 'name', 'ERR_INVALID_ARG_VALUE'],
    [{ name: 'a'.repeat(33) }, 'name', 'ERR_INVALID_ARG_VALUE'],
    [{ resumeOnCreate: 'yes' }, 'resumeOnCreate', 'ERR_INVALID_ARG_TYPE'],
    [{ maxBuffered: 0 }, 'maxBuffered', 'ERR_OUT_OF_RANGE'],
    [{ keepAlive: -1 }, 'keepAlive', 'ERR_OUT_OF_RANGE'],
    [{ retry: 3 }, 'retry', 'ERR_INVALID_ARG_TYPE'],
    [{ tokenInUrl: 'yes' }, 'tokenInUrl', 'ERR_INVALID_ARG_VALUE'],
  ])('throws for %j, which is wrong in `%s`', (options, name, code) => {
    const given = name === 'options' || name === 'authorize' ? options : { authorize: neverAuthorize, ...options }
    expect(() => createTerminalGateway(given as TerminalGatewayOptions)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`\`${name}`) }),
    )
  })

  it.each([
    ['authorise', 'authorize'],
    ['replay', 'replayBytes'],
    ['sessionsPerUser', 'maxSessionsPerUser'],
    ['unauthenticated', 'maxUnauthenticated'],
    ['keepalive', 'keepAlive'],
  ])('throws for `%s`, which is no option, and names `%s`', (name, nearest) => {
    expect(() => createTerminalGateway({ [name]: 1 } as never)).toThrow(
      `\`${name}\` is not an option of createTerminalGateway. Did you mean \`${nearest}\`?`,
    )
  })
})
