import type { IncomingMessage } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import { expect } from 'vitest'
import { probeUpstream, type ProbeCheck, type ProbeOptions, type ProbeReport } from '../../src/probe.ts'
import type { TestUpstreamOptions } from '../../src/testing.ts'
import { prompting } from './attach.ts'
import { serve, withoutCanary } from './upstream.ts'

export const QUICK: TestUpstreamOptions = { shell: prompting, authTimeout: 400, redialDelay: 5 }
export const who = { key: 'sk-canary', userId: 'ada', idle: 0, timeout: 2_000 }

export const TERMINALS = 'terminals@0.2.2'
export const OLDEST = 'terminals@0.0.2'
export const NEWEST = 'open-terminal@0.14.5'

/** Expects a text that the pattern matches. */
export const like = (pattern: RegExp): string => expect.stringMatching(pattern) as string

/** Probes, and checks that the report does not contain the key. */
export async function probe(base: string, options: Partial<ProbeOptions> = {}): Promise<ProbeReport> {
  return withoutCanary(await probeUpstream({ ...who, base, ...options }))
}

/** Returns the outcome, status and close code of each check. */
export function outcomes({ checks }: ProbeReport): Record<string, string> {
  return Object.fromEntries(checks.map((check) => [check.name, shortOutcome(check)]))
}

function shortOutcome({ outcome, status, closeCode }: ProbeCheck): string {
  return [outcome, status, closeCode].filter(Boolean).join(' ')
}

/** Probes a server that no shape attaches to. Returns the outcome of the last check, and the advice. */
export async function failing(
  base: string,
  options: Partial<ProbeOptions> = {},
): Promise<[last: string, advice: string]> {
  const report = await probe(base, options)
  expect(report.ok).toBe(false)
  expect(report.works).toBeUndefined()
  const last = report.checks.at(-1)
  return [`${last?.name} ${last && shortOutcome(last)}`, report.advice]
}

/** Starts a server that answers every request in the same way. */
export function answering(status: number, body: string, headers: Record<string, string> = {}): Promise<string> {
  return serve((server) => {
    server.on('request', (_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
    })
  })
}

/** Starts a server that creates and finds sessions, and leaves their WebSockets to the caller. */
export async function serverWith(
  onConnection: (socket: WebSocket, request: IncomingMessage) => void,
  { version, created = '{"id":"s1"}', found = created }: { version?: string; created?: string; found?: string } = {},
): Promise<string> {
  return serve((server) => {
    server.on('request', ({ method, url = '' }, response) => {
      response.setHeader('content-type', 'application/json')
      if (url.endsWith('/openapi.json')) response.end(JSON.stringify({ info: { title: 'Open Terminal', version } }))
      else if (method === 'POST') response.end(created)
      else if (url.endsWith('/s1')) response.writeHead(found === '' ? 404 : 200).end(found)
      else response.end('[]')
    })
    new WebSocketServer({ server }).on('connection', onConnection)
  })
}
