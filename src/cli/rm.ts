import { assertSegment } from '../lib/arguments.ts'
import { TerminalError } from '../lib/errors.ts'
import { deleteTerminalSession } from '../upstream/sessions.ts'
import { printFailure, statusOf } from './failure.ts'
import { CommandError, WRONG_USE, type Call, type Syntax } from './flags.ts'
import type { Host } from './host.ts'
import { findSessions, printNoSessions } from './list.ts'
import { prepareRequests, TIMEOUT_HELP, type Send } from './request.ts'
import { TARGET_FLAGS } from './target.ts'

export const RM: Syntax = {
  name: 'rm',
  summary: `Deletes sessions, which ends their shells: those whose ids you give, or with --all every one that list shows.

Open Terminal up to 0.11 deletes the sessions of other users, too, and --all deletes them all.
The exit status is 0 when all were deleted, and 1 when one was not there or could not be deleted.`,
  takesUrl: true,
  takesIds: true,
  flags: ['all', ...TARGET_FLAGS],
  help: { timeout: TIMEOUT_HELP },
}

/** Resolves with the exit status. */
export async function rm(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const all = call.flags.all !== undefined
  checkIds(call.ids, all)
  const send = await prepareRequests(call, host, signal)
  const ids = all ? (await findSessions(send)).map(({ id }) => id) : [...new Set(call.ids)]
  if (ids.length === 0) printNoSessions(host)
  let status = 0
  // One after the other: a server ends one shell at a time, and the time limit is for each.
  for (const id of ids) {
    if (!(await deleteSession(id, send, host))) status = 1
  }
  return status
}

/** Throws unless the command says what to delete. */
function checkIds(ids: readonly string[], all: boolean): void {
  if (!all && ids.length === 0) {
    throw new CommandError(
      'ERR_PARSE_ARGS_MISSING_POSITIONAL',
      'Name the sessions to delete: terminal-upstream rm URL ID, or terminal-upstream rm URL --all for all of them.',
    )
  }
  if (all && ids.length > 0) throw new CommandError('ERR_INVALID_ARG_VALUE', 'Give either ids or --all, not both.')
  for (const id of ids) assertSegment('ID', id)
}

/** Prints what became of the session; resolves with whether it was deleted. */
async function deleteSession(id: string, send: Send, host: Host): Promise<boolean> {
  const shown = printable(id)
  try {
    const request = `delete the session ${shown}`
    const wasThere = await send(request, (options) => deleteTerminalSession({ ...options, sessionId: id }))
    host.stdout.write(`${wasThere ? 'deleted' : 'not there:'} ${shown}\n`)
    return wasThere
  } catch (error) {
    // A wrong use would fail in the same way for every session.
    if (!(error instanceof TerminalError) || statusOf(error) === WRONG_USE) throw error
    printFailure(host, error)
    return false
  }
}

/** Returns the id without characters that only a key has: users put arguments in the wrong order. */
function printable(id: string): string {
  return id.replaceAll(/[^\w.-]/g, '?')
}
