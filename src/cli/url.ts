import { buildUpstreamWsUrl } from '../url.ts'
import type { Call, Syntax } from './flags.ts'
import type { Host } from './host.ts'
import { interruptible } from './signals.ts'
import { readTarget } from './target.ts'

export const URL_SYNTAX: Syntax = {
  name: 'url',
  summary: 'Prints the WebSocket URL that connectTerminal dials, with *** for the key.',
  takesUrl: true,
  flags: ['session', 'user', 'auth-type', 'policy', 'context', 'key-file', 'key', 'show-key'],
}

/** Resolves with the exit status. */
export function printUrl(call: Call, host: Host): Promise<number> {
  return interruptible(host, async (signal) => {
    const { base, authType, key, userId, policyId, contextId } = await readTarget(call, host, signal)
    const target = { sessionId: call.flags.session, policyId, contextId }
    const url = buildUpstreamWsUrl(base, authType, key, userId, target)
    const isShown = call.flags['show-key'] !== undefined
    host.stdout.write(`${isShown ? url : url.replace(/([?&]token=).*$/, '$1***')}\n`)
    return 0
  })
}
