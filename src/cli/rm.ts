import { assertSegment } from '../lib/arguments.ts'
import { TerminalError } from '../lib/errors.ts'
import { deleteTerminalSession } from '../upstream/sessions.ts'
import { exitStatusOf, printError } from './failure.ts'
import { CommandError, WRONG_USE, type Call, type Syntax } from './flags.ts'
import type { Host } from './host.ts'
import { findSessions, printNoSessions } from './list.ts'
import { prepareRequests, TIMEOUT_HELP, type Send } from './request.ts'
import { TARGET_FLAGS } from './target.ts'

export const RM: Syntax = {
  name: 'rm',
  summary: `Deletes sessions and ends their shells: the sessions that you name, or with --all every session that list shows.

Open Terminal up to 0.11 deletes the sessions of other users, too, and --all deletes them all.
The exit status is 0 if all were deleted, and 1 if one was not there or could not be deleted.`,
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
  // One after the other: a server ends one shell at a time, and --timeout applies to each.
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

/** Deletes a session and prints the result. Resolves with whether it was deleted. */
async function deleteSession(id: string, send: Send, host: Host): Promise<boolean> {
  const shown = quotable(id)
  try {
    const request = `delete the session ${shown}`
    const wasThere = await send(request, (options) => deleteTerminalSession({ ...options, sessionId: id }))
    host.stdout.write(`${wasThere ? 'deleted' : 'not there:'} ${shown}\n`)
    return wasThere
  } catch (error) {
    // Wrong arguments would fail for every session in the same way.
    if (!(error instanceof TerminalError) || exitStatusOf(error) === WRONG_USE) throw error
    printError(host, error)
    return false
  }
}

/** Hides the characters of a key that no id has: a user may have put a key in the place of an id. */
function quotable(id: string): string {
  return id.replaceAll(/[^\w.-]/g, '?')
}
