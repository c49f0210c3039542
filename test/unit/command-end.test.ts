import { expect, it } from 'vitest'
import { endOf } from '../../src/command/end.ts'
import { FrameReader } from '../../src/command/frames.ts'
import { unread } from '../../src/command/starting.ts'

const TERM = { signal: 'TERM', isSure: true } as const
const KILL = { signal: 'KILL', isSure: true } as const

it.each([
  ['its own code', 'x3', 0, undefined, false, { exitCode: 3, signal: undefined, timedOut: false }],
  ['its own code after a signal', 'x3', 0, TERM, true, { exitCode: 3, signal: undefined, timedOut: true }],
  [
    'its own code although a signal was perhaps sent',
    'x0',
    0,
    { ...TERM, isSure: false },
    true,
    { exitCode: 0, timedOut: false },
  ],
  ['SIGTERM', 'x143', 0, TERM, false, { exitCode: 143, signal: 'SIGTERM', timedOut: false }],
  ['SIGTERM that was perhaps sent', 'x143', 0, { ...TERM, isSure: false }, true, { signal: 'SIGTERM', timedOut: true }],
  ['SIGKILL of the command', 'x137', 0, KILL, true, { exitCode: 137, signal: 'SIGKILL', timedOut: true }],
  ['SIGKILL of the group', '', -9, KILL, true, { exitCode: 137, signal: 'SIGKILL', timedOut: true, truncated: true }],
  ['SIGKILL of the group below sudo', '', 137, KILL, false, { exitCode: 137, signal: 'SIGKILL' }],
  [
    'the code of a signal of somebody else',
    'x137',
    0,
    TERM,
    true,
    { exitCode: 137, signal: undefined, timedOut: true },
  ],
  ['no report', '', 137, TERM, true, undefined],
  ['no report, and no signal', '', -9, undefined, false, undefined],
] as const)('a command ends with %s', (_what, line, status, killing, isLate, end) => {
  const frames = new FrameReader(() => {})
  frames.push(`${line}\n`)
  const found = endOf(frames, { ...unread('a1'), isRunning: false, exitCode: status }, killing, isLate)
  if (end === undefined) expect(found).toBeUndefined()
  else expect(found).toMatchObject(end)
})
