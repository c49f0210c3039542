import type { ServerResponse } from 'node:http'
import { withDeadline } from '../lib/deadline.ts'
import { hasCode } from '../lib/errors.ts'
import { refuse, sendAnswer, type Refusal } from './answers.ts'
import type { Session } from './session.ts'

// As much as the real server keeps (PROTOCOL 2.17).
const MOST_OUTPUT_BYTES = 64 * 1024
// What a program does not read waits in the memory of its session, also after the answer.
const MOST_WAITING_BYTES = 64 * 1024
const TYPING_TIMEOUT_MS = 5_000

// How many bytes of these requests wait for the program in each shell.
const waiting = new WeakMap<Session, number>()

const NO_SHELL: Refusal = { status: 404, body: { detail: 'No connected user shell' }, reason: 'not-found' }
const ENDED: Refusal = { status: 409, body: { detail: 'User shell has disconnected' }, reason: 'upstream' }
const STALLED: Refusal = { status: 409, body: { detail: 'User shell does not read its input' }, reason: 'upstream' }

/** Answers with the last output of a user's shell, `undefined` if there is none, as Open Terminal does. */
export function answerOutput(response: ServerResponse, session: Session | undefined, userId: string): void {
  if (!session) return refuse(response, NO_SHELL, { userId })
  sendAnswer(response, { output: session.output.recent(MOST_OUTPUT_BYTES).toString() })
}

/** Types into a user's shell what a request says, as Open Terminal does. `input` may be what is wrong with it. */
export async function answerInput(
  response: ServerResponse,
  session: Session | undefined,
  userId: string,
  input: string | Refusal,
): Promise<void> {
  if (typeof input !== 'string') return refuse(response, input, { userId })
  if (!session) return refuse(response, NO_SHELL, { userId })
  const refusal = await type(session, Buffer.from(input))
  if (refusal) refuse(response, refusal, { userId })
  else sendAnswer(response, { status: 'ok' })
}

/** Types with the pacing of the terminal, after what was typed before. */
async function type(session: Session, data: Buffer): Promise<Refusal | undefined> {
  const bytes = waiting.get(session) ?? 0
  if (bytes > 0 && bytes + data.length > MOST_WAITING_BYTES) return STALLED
  waiting.set(session, bytes + data.length)
  const typed = session.terminal.write(data, true).finally(() => {
    waiting.set(session, Number(waiting.get(session)) - data.length)
  })
  try {
    await withDeadline(TYPING_TIMEOUT_MS, undefined, () => typed)
    return undefined
  } catch (error) {
    return hasCode(error, 'ERR_TERMINAL_CLOSED') ? ENDED : STALLED
  }
}
