import { expect, it } from 'vitest'
import { withFlagNames } from '../../src/cli/failure.ts'
import { connectTerminal, createTerminalSession } from '../../src/index.ts'
import { statusError } from '../../src/upstream/failures.ts'
import { rejection, upstreamOf, userOf } from '../support/upstream.ts'

it('the error for a `key` of the wrong type offers a function', async () => {
  const options: never = { base: 'http://127.0.0.1:1', userId: 'ada', key: {} } as never
  const { message } = await rejection(connectTerminal(options))
  expect(message).toBe('`key` must be a string, or a function that returns one, got object')
})

it('a base that has the path of the sessions already is told to leave it out', async () => {
  const upstream = await upstreamOf()
  const base = `${upstream.url}/api/terminals`
  const { message } = await rejection(createTerminalSession({ ...userOf(upstream), base }))
  expect(message).toContain('/api/terminals/api/terminals: HTTP 404')
  expect(message).toMatch(/Leave \/api\/terminals out of `base`: it is added\.$/)
  expect(statusError('Cannot x at http://h/api/terminals', 404).message).not.toContain('Leave')
})

it('the advice to set a key is a sentence in the command, too', () => {
  expect(withFlagNames('Set `key`: this server requires one.')).toBe('Set the key: this server requires one.')
})
