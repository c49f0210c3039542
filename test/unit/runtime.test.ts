import { afterEach, describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { bytesOf } from '../../src/lib/globals.ts'
import { loadWs } from '../../src/lib/ws.ts'
import { sendHttp } from '../../src/upstream/http-fetch.ts'
import { open } from '../support/terminal.ts'
import { serve } from '../support/upstream.ts'

const get = { method: 'GET', headers: {}, ownConnection: false }

function greet(): Promise<string> {
  return serve((server) => server.on('request', (_request, response) => response.end('grüezi')))
}

/**
 * Takes names away from the global object. That of Node, which has all of them, is still there: in Jest, it is another
 * one.
 */
function takeAway(...names: string[]): void {
  const ofNode = { fetch, AbortController, setImmediate, TextDecoder, TextEncoder }
  vi.spyOn(process, 'getBuiltinModule').mockReturnValue({ runInThisContext: () => ofNode })
  for (const name of names) vi.stubGlobal(name, undefined)
}

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

describe('where names are missing, as in Jest with jsdom,', () => {
  it.each([['fetch'], ['TextDecoder']])('requests are sent without %s', async (name) => {
    const url = await greet()
    takeAway(name)
    expect((await sendHttp(url, get)).body).toBe('grüezi')
  })

  it('texts become UTF-8 without TextEncoder', () => {
    takeAway('TextEncoder')
    expect(Buffer.from(bytesOf('ü')).toString('hex')).toBe('c3bc')
  })

  it('the output that comes in pieces is read without setImmediate', async () => {
    const { session, terminal } = await open()
    takeAway('setImmediate')
    const chunks = terminal[Symbol.asyncIterator]()
    await session.output('one')
    expect((await chunks.next()).value).toHaveLength(3)
  })

  it('the file of ws for Node is loaded instead of the one for browsers', () => {
    const forBrowsers = { default() {} }
    expect(loadWs(forBrowsers).WebSocketServer).toBe(WebSocketServer)
  })
})

it('a fetch without streams, as that of whatwg-fetch, is read as a text', async () => {
  const url = await greet()
  const { fetch } = globalThis
  vi.stubGlobal('fetch', async (...parameters: Parameters<typeof fetch>) => {
    const response = await fetch(...parameters)
    return { status: response.status, headers: response.headers, text: () => response.text() }
  })
  expect((await sendHttp(url, get)).body).toBe('grüezi')
})
