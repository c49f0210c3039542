import { unescape } from 'node:querystring'
import type { TestOperation } from './faults.ts'
import type { Behaviour } from './releases.ts'

/** The resource that a path names. */
export interface Route {
  /** `undefined` without `/p/{policyId}`. */
  readonly policyId: string | undefined
  /** The id of a session, or `undefined` if the path names none. */
  readonly sessionId: string | undefined
  /** The id of a command, or `undefined` if the path names none. */
  readonly commandId: string | undefined
  /** What each method does. A 405 names the first. */
  readonly operations: Readonly<Record<string, TestOperation>>
}

const PATHS: ReadonlyArray<readonly [pattern: RegExp, operations: Route['operations']]> = [
  [/^\/api\/terminals$/, { POST: 'create', GET: 'list' }],
  [/^\/api\/terminals\/user\/output$/, { GET: 'output' }],
  [/^\/api\/terminals\/user\/input$/, { POST: 'type' }],
  [/^\/api\/terminals\/(?<sessionId>[^/]+)$/, { GET: 'get', DELETE: 'delete' }],
  [/^\/execute$/, { GET: 'commands', POST: 'execute' }],
  [/^\/execute\/(?<commandId>[^/]+)$/, { DELETE: 'kill' }],
  [/^\/execute\/(?<commandId>[^/]+)\/status$/, { GET: 'status' }],
  [/^\/execute\/(?<commandId>[^/]+)\/input$/, { POST: 'input' }],
  [/^\/files\/upload$/, { POST: 'upload' }],
  [/^\/files\/delete$/, { DELETE: 'remove' }],
]

/** Returns the route of a path, or `undefined` for an unknown path. */
export function findRoute({ orchestrator, strictSessions }: Behaviour, path: string): Route | undefined {
  // Python's servers decode the path first: an encoded slash starts another segment, and no escape is too malformed to
  // decode.
  const [, policyId, rest = ''] = /^(?:\/p\/([^/]+)(?=\/))?(\/.*)$/s.exec(unescape(path)) ?? []
  if (policyId !== undefined && !orchestrator) return undefined
  for (const [pattern, operations] of PATHS) {
    const match = pattern.exec(rest)
    if (!match) continue
    // An orchestrator passes every path on, and checks the credentials before that.
    const isOfShell = operations['GET'] === 'output' || operations['POST'] === 'type'
    if (isOfShell && !strictSessions && !orchestrator) return undefined
    return { policyId, sessionId: match.groups?.['sessionId'], commandId: match.groups?.['commandId'], operations }
  }
  return undefined
}

/** Returns the server's error message for a context id, or `undefined` if the id is valid. */
export function contextProblem(contextId: string): string | undefined {
  if (contextId.length > 256) return 'context_id is too long'
  if (/[^ -\uffff]/.test(contextId)) return 'context_id contains control characters'
  return /^(?:default$|chat:|automation:)/.test(contextId)
    ? undefined
    : 'only chat and automation contexts are supported'
}
