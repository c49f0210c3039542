import { buildUpstreamWsUrl } from '../url.ts'
import type { Call, Syntax } from './flags.ts'
import type { Host } from './host.ts'
import { readTarget } from './target.ts'

export const URL_SYNTAX: Syntax = {
  name: 'url',
  summary:
    'Prints the WebSocket URL that connectTerminal dials, with *** for the key; SESSION_ID if you name no --session.',
  takesUrl: true,
  flags: ['session', 'user', 'auth-type', 'policy', 'context', 'key-file', 'key', 'show-key'],
}

/** Resolves with the exit status. */
export async function printUrl(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const { base, authType, key, userId, policyId, contextId } = await readTarget(call, host, signal)
  const target = { sessionId: call.flags.session ?? 'SESSION_ID', policyId, contextId }
  const url = buildUpstreamWsUrl(base, authType, key, userId, target)
  const isShown = call.flags['show-key'] !== undefined
  host.stdout.write(`${isShown ? url : url.replace(/([?&]token=).*$/, '$1***')}\n`)
  return 0
}
