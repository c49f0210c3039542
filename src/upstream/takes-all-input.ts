import { Cancellation, type AbortSignalLike } from '../lib/cancellation.ts'
import { abortable, BRIEFLY_MS, withDeadline } from '../lib/deadline.ts'
import { withCredentials } from './renewed-credentials.ts'
import { statusError } from './failures.ts'
import { asRecord, exchange, serverMessage } from './requests.ts'
import { resolveEndpoint, type RequestOptions } from './options.ts'

// An old server may be upgraded, so it is asked again after an hour.
const REMEMBERED_MS = 3_600_000
const MOST_REMEMBERED = 1_000

/** A question to a server, and those who wait for the answer. */
interface Question {
  readonly until: number
  readonly answer: Promise<boolean>
  readonly stop: Cancellation
  waiting: number
  /** Absent until the server has answered. */
  result?: boolean
}

const questions = new Map<string, Question>()

/** Whether a server takes all input, if it has answered that before. */
export function isKnownToTakeAllInput(options: RequestOptions): boolean | undefined {
  return find(keyOf(options))?.result
}

/**
 * Resolves with whether a server takes all input, as Open Terminal from 0.12.4 on does, or ends a shell that does not
 * read it (PROTOCOL 5.9). One that gives another answer than expected counts as old. Asks once for each server and
 * user, because an orchestrator may run another release for another user. Rejects only when `signal` aborts.
 *
 * @see https://github.com/open-webui/open-terminal/blob/v0.14.5/open_terminal/main.py `get_user_terminal_output`
 */
export async function takesAllInput(options: RequestOptions, signal: AbortSignalLike): Promise<boolean> {
  const key = keyOf(options)
  const question = find(key) ?? ask(key, options)
  question.waiting += 1
  return abortable(question.answer, signal).finally(() => {
    question.waiting -= 1
    // Nobody needs the answer any more.
    if (question.waiting === 0) question.stop.abort()
  })
}

function keyOf({ base, userId, policyId, contextId }: RequestOptions): string {
  return JSON.stringify([String(base), userId, policyId, contextId])
}

function find(key: string): Question | undefined {
  const question = questions.get(key)
  return question && performance.now() < question.until ? question : undefined
}

function ask(key: string, options: RequestOptions): Question {
  const stop = new Cancellation()
  const answer = withDeadline(BRIEFLY_MS, stop, (signal) => withCredentials({ ...options, signal }, request)).then(
    (result) => (question.result = result),
    () => {
      // No answer. The next caller asks again.
      questions.delete(key)
      return false
    },
  )
  const question: Question = { until: performance.now() + REMEMBERED_MS, answer, stop, waiting: 0 }
  if (questions.size >= MOST_REMEMBERED) questions.clear()
  questions.set(key, question)
  return question
}

/** Asks for the output of the user's shell, which only the servers that take all input have (PROTOCOL 2.17). */
async function request(options: RequestOptions): Promise<boolean> {
  const { headers, httpUrl } = await resolveEndpoint(options)
  const { status, json } = await exchange(httpUrl('user', 'output'), { method: 'GET', headers, signal: options.signal })
  // A key that is not accepted, or a proxy that cannot ask the server at the moment.
  if (status === 401 || status === 429 || status >= 500) throw statusError('Cannot ask for output', status)
  return status === 200
    ? typeof asRecord(json)['output'] === 'string'
    : serverMessage(json) === 'No connected user shell'
}
