import { describe, expect, it, onTestFinished } from 'vitest'
import {
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  type ConnectTerminalOptions,
} from '../../src/index.ts'
import { withCallSite } from '../../src/lib/call-site.ts'
import { probeUpstream } from '../../src/probe.ts'
import { open } from '../support/terminal.ts'
import { rejection, upstreamOf, userOf } from '../support/upstream.ts'

type Call = (options: ConnectTerminalOptions & { sessionId: string }) => Promise<unknown>

const CALLS: ReadonlyArray<[string, Call]> = [
  ['connectTerminal', connectTerminal],
  ['createTerminalSession', createTerminalSession],
  ['listTerminalSessions', listTerminalSessions],
  ['getTerminalSession', getTerminalSession],
  ['deleteTerminalSession', deleteTerminalSession],
]

/** The name of this function is what the tests look for. */
function lineOfTheCaller<T>(call: () => Promise<T>): Promise<T> {
  // Not awaited here: V8 finds by itself who awaits, but not who has called.
  return call().then((value) => value)
}

describe('the stack of an error', () => {
  it.each(CALLS)('of %s names the caller when the server refuses the key', async (_name, call) => {
    const upstream = await upstreamOf()
    const options = { ...userOf(upstream), key: 'wrong', sessionId: 's1' }
    const error = await rejection(lineOfTheCaller(() => call(options)))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })
    expect(error.stack).toMatch(/^TerminalError: Cannot .*\n {4}at [^]*lineOfTheCaller/)
  })

  const WITH_PROBE = [...CALLS, ['probeUpstream', probeUpstream] as const]

  it.each(WITH_PROBE)('of %s names the caller when a later key is wrong', async (_name, call) => {
    const key = (): Promise<string> => Promise.resolve('é')
    const options = { base: 'http://127.0.0.1:1', key, userId: 'ada', sessionId: 's1' }
    const error = await rejection(lineOfTheCaller(() => call(options)))
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect(error.stack).toContain('lineOfTheCaller')
  })

  it('names who has written to a terminal that is closed', async () => {
    const { terminal } = await open()
    await terminal.close()
    const error = await rejection(lineOfTheCaller(() => terminal.write('x')))
    expect(error).toMatchObject({ code: 'ERR_TERMINAL_CLOSED' })
    expect(error.stack).toContain('lineOfTheCaller')
  })

  it('names the caller once when the stack has that line already', async () => {
    const error = await rejection(lineOfTheCaller(() => connectTerminal({ base: 'http://h', userId: '' })))
    expect(String(error.stack).split('lineOfTheCaller')).toHaveLength(2)
  })

  it('stays as it is when the error is the reason of a signal', async () => {
    const reason = new Error('the user has left')
    const { stack } = reason
    const call = (): Promise<unknown> =>
      connectTerminal({ base: 'http://127.0.0.1:1', userId: 'ada', signal: AbortSignal.abort(reason) })
    expect(await rejection(lineOfTheCaller(call))).toBe(reason)
    expect(reason.stack).toBe(stack)
  })

  it('stays as it is when the error is frozen', async () => {
    const frozen = Object.freeze(Object.assign(new Error('no'), { code: 'ERR_INVALID_ARG_VALUE' }))
    expect(await rejection(lineOfTheCaller(() => withCallSite(() => Promise.reject(frozen))))).toBe(frozen)
  })

  it('stays as it is when a function of the caller has thrown the error, whatever its code', async () => {
    const thrown = Object.assign(new Error('"exp" claim timestamp check failed'), { code: 'ERR_JWT_EXPIRED' })
    const { stack } = thrown
    const key = (): never => {
      throw thrown
    }
    expect(await rejection(lineOfTheCaller(() => listTerminalSessions({ base: 'http://h', userId: 'a', key })))).toBe(
      thrown,
    )
    expect(thrown.stack).toBe(stack)
  })

  it('does not hide an error that cannot be asked', async () => {
    const trap = (): never => {
      throw new Error('asked')
    }
    const hostile = new Proxy({}, { get: trap, has: trap, set: trap })
    const caught = withCallSite(() => Promise.reject(hostile)).catch((error: unknown) => error === hostile)
    expect(await caught).toBe(true)
  })

  it('does not hide an error when the stack of the caller cannot be made', async () => {
    const error = Object.assign(new Error('no'), { code: 'ERR_TERMINAL_CLOSED', stack: 'Error: no' })
    const prepareStackTrace: unknown = Reflect.get(Error, 'prepareStackTrace')
    onTestFinished(() => void Object.assign(Error, { prepareStackTrace }))
    Error.prepareStackTrace = () => {
      throw new Error('no stack')
    }
    expect(await withCallSite(() => Promise.reject(error)).catch((caught: unknown) => caught)).toBe(error)
    Object.assign(Error, { prepareStackTrace })
  })
})
