import { buildUpstreamAuth, buildUpstreamWsUrl, TerminalError, type AuthType } from '../../../src/index.ts'

const authType: AuthType = 'bearer'

export const url: string = buildUpstreamWsUrl('https://terminals.example', authType, 'sk-1', 'ada', { sessionId: '1' })

export const headers: Record<string, string> = buildUpstreamAuth({ authType, key: 'sk-1', userId: 'ada' }).headers

export function codeOf(error: unknown): string | undefined {
  return error instanceof TerminalError ? error.code : undefined
}

// @ts-expect-error -- no such auth type
buildUpstreamWsUrl('https://terminals.example', 'basic', 'sk-1', 'ada')
