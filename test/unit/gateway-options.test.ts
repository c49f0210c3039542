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
    [{ replay: 1.5 }, 'replay', 'ERR_OUT_OF_RANGE'],
    [{ replay: 8 * 1024 * 1024 + 1 }, 'replay', 'ERR_OUT_OF_RANGE'],
    [{ sessionsPerUser: 0 }, 'sessionsPerUser', 'ERR_OUT_OF_RANGE'],
    [{ unauthenticated: 0 }, 'unauthenticated', 'ERR_OUT_OF_RANGE'],
    [{ authTimeout: 0 }, 'authTimeout', 'ERR_OUT_OF_RANGE'],
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
})
