import type { TestRequest, TestUpstream } from '../../src/testing.ts'

/** Returns the WebSocket handshakes that an upstream received, oldest first. */
export function handshakes({ requests }: TestUpstream): TestRequest[] {
  return requests.filter(({ kind }) => kind === 'websocket')
}

/** Returns the GET requests that an upstream received: look-ups of a session, and lists. */
export function lookUps({ requests }: TestUpstream): TestRequest[] {
  return requests.filter(({ kind, method }) => kind === 'http' && method === 'GET')
}

/** Returns what an upstream was asked, oldest first: the method of a request, `attach` for a handshake. */
export function operations({ requests }: TestUpstream): string[] {
  return requests.map(({ kind, method }) => (kind === 'http' ? method : 'attach'))
}
