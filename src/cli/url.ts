import { buildUpstreamWsUrl } from '../upstream/url.ts'
import type { Call, Command } from './flags.ts'
import type { Host } from './host.ts'
import { readTarget } from './target.ts'

export const URL_COMMAND: Command = {
  name: 'url',
  summary: `Prints the WebSocket URL that every release accepts, with SESSION_ID in it unless you give --session.

*** stands for the key and for the values in the query of your URL, which may be secret, too.`,
  takesUrl: true,
  flags: ['session', 'user', 'auth-type', 'policy', 'context', 'key-file', 'key', 'show-key'],
  run: printUrl,
}

async function printUrl(call: Call, host: Host, signal: AbortSignal): Promise<number> {
  const { base, authType, key, userId, policyId, contextId } = await readTarget(call, host, signal)
  const target = { sessionId: call.flags.session ?? 'SESSION_ID', policyId, contextId }
  const url = buildUpstreamWsUrl(base, authType, key, userId, target)
  const isKeyShown = call.flags['show-key'] !== undefined
  host.stdout.write(`${isKeyShown ? url : maskSecrets(url)}\n`)
  return 0
}

/** Hides every value in the query, except the two that this command adds and that are not secret. */
function maskSecrets(url: string): string {
  // The user's URL has no parameters with these two names: buildUpstreamWsUrl removes them.
  return url.replaceAll(/([?&](?!(?:user_id|context_id)=)[^=&]*=)[^&]*/g, '$1***')
}
