import xterm from '@xterm/headless'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ModeTracker } from '../../src/cli/modes.ts'

/** Returns what undoes the chunks. */
function undoneOf(...chunks: string[]): string {
  const modes = new ModeTracker()
  for (const chunk of chunks) modes.track(Buffer.from(chunk, 'latin1'))
  return modes.undo()
}

it.each<[chunks: string[], undo: string]>([
  [['hello\r\n'], ''],
  [['\x1b[?1049h'], '\x1b[?1049l'],
  [['\x1b[?1049h', '\x1b[?1049l'], ''],
  [['\x1b[?1049h\x1b[?25l'], '\x1b[?25h\x1b[?1049l'],
  [['\x1b[?25l', '\x1b[?25h'], ''],
  [['\x1b[?7l'], '\x1b[?7h'],
  [['\x1b[?1000;1006h'], '\x1b[?1000;1006l'],
  [['\x1b[?1000;1006h\x1b[?1000l'], '\x1b[?1006l'],
  [['\x1b', '[?2', '004', 'h'], '\x1b[?2004l'],
  [['\x1b[31', ';1m red'], '\x1b[0m'],
  [['\x1b[31mred\x1b[m'], ''],
  [['\x1b[38:2::1:2:3mred\x1b[0m'], ''],
  [['\x1b[2 q'], '\x1b[0 q'],
  [['\x1b[?2026;2048;1048h'], '\x1b[?2026;2048l'],
  [['\x1b]0;\x1b[?25l'], '\x1b[?25h'],
  [['\x1b[4h'], '\x1b[4l'],
  [['\x1b[4h\x1b[4l'], ''],
  [['\x1b[3;8r'], '\x1b7\x1b[r\x1b8'],
  [['\x1b[3;8r\x1b[r'], ''],
  [['\x1b='], '\x1b>'],
  [['\x1b=\x1b>'], ''],
  [['\x1b[>1u'], '\x1b[=0u'],
  [['\x1b[>1u\x1b[<u'], ''],
  [['\x1b[?1049h\x1b[>1u'], '\x1b[=0u\x1b[?1049l'],
  [['\x1b[>1u\x1b[?1049h'], '\x1b[?1049l\x1b[=0u'],
  [['\x1b[=5;1u'], '\x1b[=0u'],
  [['\x1b[=5;1u\x1b[=0u'], ''],
  [['\x1b[>4;2m'], '\x1b[>4m'],
  [['\x1b[>4;2m\x1b[>4m'], ''],
  [['\x1b[>4;2m\x1b[>4;0m'], ''],
  [['\x1b)0\x0e'], '\x1b)B\x0f'],
  [['\x1b[3;4:3m\x1b[23;24m'], ''],
  [['\x1b]8;;http://a\x07'], '\x1b]8;;\x1b\\'],
  [['\x1b]4;1;#fff\x07\x1b]11;#000\x07'], '\x1b]104\x1b\\\x1b]111\x1b\\'],
  [['\x1b[>1;2m\x1b[?12h\x1b[20h'], '\x1b[>1m\x1b[?12l\x1b[20l'],
  [['\x1b[?1049h\x1b[?25l\x1b[1m\x1b='], '\x1b[0m\x1b>\x1b[?25h\x1b[?1049l'],
  [['\x1b[?1049h\x1b[?25l\x1b[1m\x1b=\x1bc'], ''],
])('a ModeTracker undoes %j with %j', (chunks, undo) => {
  expect(undoneOf(...chunks)).toBe(undo)
})

const pieces = fc.array(
  fc.oneof(
    fc.constantFrom('vi', '\r\n', '\x1b=', '\x1b>', '\x1b[1;31m', '\x1b[m', '\x1b[4h', '\x1b[2;9r', '\x1b', '\x1b['),
    fc
      .tuple(fc.constantFrom(1, 7, 25, 66, 1000, 1002, 1003, 1004, 1006, 1049, 2004), fc.constantFrom('h', 'l'))
      .map(([mode, final]) => `\x1b[?${mode}${final}`),
  ),
)

it('a ModeTracker does not depend on how output is split into chunks', () => {
  fc.assert(
    fc.property(pieces, fc.nat(6), (parts, size) => {
      const whole = parts.join('')
      const cut = whole.match(new RegExp(`[^]{1,${size + 1}}`, 'g')) ?? []
      expect(undoneOf(...cut)).toBe(undoneOf(whole))
    }),
  )
})

it('a ModeTracker restores the first state of xterm.js', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, async (parts) => {
      const terminal = new xterm.Terminal({ allowProposedApi: true })
      const state = (): object => ({ ...terminal.modes, buffer: terminal.buffer.active.type })
      const before = state()
      // The `m` ends an unfinished sequence, which would swallow the beginning of the next.
      const output = `${parts.join('')}m`
      await new Promise<void>((done) => terminal.write(output + undoneOf(output), done))
      expect(state()).toEqual(before)
      terminal.dispose()
    }),
  )
})
