import { describe, expect, it } from 'vitest'
import { readCommand } from '../../src/command/settings.ts'
import { runCommand } from '../../src/command.ts'

const upstream = { base: 'http://127.0.0.1:9', userId: 'ada' }

describe('the options of a command', () => {
  it.each<[name: string, message: string, value: unknown]>([
    ['command', 'a string', undefined],
    ['command', 'NUL', 'a\0b'],
    ['command', 'lone surrogates', '\ud800'],
    ['command', "bytes too long for Linux: run 'sh -s', and pass the command in `stdin`", 'x'.repeat(131_072)],
    ['cwd', 'a string', 1],
    ['cwd', 'NUL', 'a\0b'],
    ['env', 'an object', 'A=1'],
    ['env', 'an object', null],
    ['env', 'must have a name of letters, digits and _', { 'a-b': '1' }],
    ['env', 'must have a name of letters, digits and _', { '1a': '1' }],
    ['env', 'must not begin with TERMINAL_UPSTREAM_', { TERMINAL_UPSTREAM_A: '1' }],
    ['env', '`env.UID` belongs to the shell', { UID: '1' }],
    ['env', '`env.A` must be a string, got number', { A: 1 }],
    ['env', '`env.A` must not contain NUL', { A: 'a\0b' }],
    ['env', '`env.A` is', { A: 'x'.repeat(131_072) }],
    ['env', 'too long for Linux', Object.fromEntries(Array.from('abcdefghijk', (name) => [name, '€'.repeat(40_000)]))],
    ['stdin', 'a string or a Uint8Array', 1],
    ['signal', 'an AbortSignal', {}],
    ['timeout', 'from 1 to 2147483647', 0],
    ['timeout', 'a whole number', '1'],
    ['grace', 'from 0', -1],
    ['concurrency', 'from 1', 0],
    ['encoding', "'utf8' or 'buffer'", 'latin1'],
    ['onStdout', 'a function', 'log'],
    ['onStderr', 'a function', null],
    ['stdout', 'Did you mean `onStdout`?', 'log'],
    ['commands', 'Did you mean `command`?', 'true'],
  ])('refuse a wrong %s: %s', async (name, message, value) => {
    const options = { ...upstream, command: 'true', [name]: value }
    const error = await runCommand(options as never).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      message: expect.stringContaining(message),
      code: expect.stringMatching(/^ERR_(?:INVALID_ARG|OUT_OF_RANGE)/),
    })
    expect(String(error)).toContain(name)
  })

  it('may be those of connectTerminal, too', () => {
    const shared = { ...upstream, sessionId: 'a', size: { cols: 80, rows: 24 } }
    expect(() => readCommand('runCommand', { ...shared, command: 'true' })).not.toThrow()
  })

  it('are read once, so that a caller may use its buffer and its objects again', () => {
    const stdin = Buffer.from('input')
    const env = { A: '1' }
    const settings = readCommand('runCommand', { ...upstream, command: 'cat', stdin, env })
    stdin.fill(0)
    env.A = '2'
    expect(Buffer.from(settings.stdin).toString()).toBe('input')
    expect(settings.env).toEqual({ A: '1' })
  })

  it.each([
    ['none', ''],
    ['variable', 'x'.repeat(32_768)],
    ['file', 'x'.repeat(32_769)],
  ])('send the input by %s', (input, stdin) => {
    expect(readCommand('runCommand', { ...upstream, command: 'cat', stdin }).plan.input).toBe(input)
  })
})
