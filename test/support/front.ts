import type { IncomingMessage } from 'node:http'
import { gateway, page, refuse } from './gateway.ts'

/** The headers of a service token, as Cloudflare Access wants them. */
export const TOKEN = { 'CF-Access-Client-Id': 'id.access', 'CF-Access-Client-Secret': 'canary-of-the-front' }

export interface Front {
  readonly url: string
  /** What was refused: the method of a request, `attach` for a handshake. */
  readonly refused: string[]
}

/** Starts a reverse proxy that lets only those through who send these headers. */
export async function startFront(upstream: { url: string }, wanted: Record<string, string> = TOKEN): Promise<Front> {
  const refused: string[] = []
  const mayPass = ({ headers }: IncomingMessage): boolean =>
    Object.entries(wanted).every(([name, value]) => headers[name.toLowerCase()] === value)
  const url = await gateway(upstream, {
    answer(request, response) {
      if (mayPass(request)) return false
      refused.push(String(request.method))
      return page(response, 403)
    },
    upgrade(_request, socket) {
      refused.push('attach')
      refuse(socket, 403, 'text/html', '<title>Log in</title>')
    },
    passes: mayPass,
  })
  return { url, refused }
}
