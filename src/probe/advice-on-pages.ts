import { CLOSE_NOT_FOUND } from '../upstream/close-codes.ts'
import type { Facts } from './facts.ts'

/** Says what to do about a server that refuses the page's `Origin`, and nothing else. */
export function adviseOnOrigin({ origin, url }: Facts): string {
  return `Configure the reverse proxy to pass the Host of the page on (nginx: proxy_set_header Host $http_host), or add ${origin} to the \`origins\` of the gateway: ${url.host} refuses this page, and answers whoever sends no Origin.`
}

/** Says what to do about a server whose answers a page of another site cannot read. */
export function adviseOnReading({ origin, hiddenFromPages }: Facts): string {
  return `Let pages of ${origin} read the answers, in OPEN_TERMINAL_CORS_ALLOWED_ORIGINS of Open Terminal, in \`origins\` of a gateway, or in the reverse proxy (Access-Control-Allow-Origin, to the preflight, too): ${hiddenFromPages}.`
}

/** Says what to do about a server that attaches clients, but no page. */
export function adviseOnPages({ checks }: Facts): string {
  return checks.get('no-headers')?.closeCode === CLOSE_NOT_FOUND
    ? 'Put a gateway of this package in front of the server: pages cannot send X-User-Id with a WebSocket, and Open Terminal from 0.12.4 on requires it.'
    : 'Configure the reverse proxy to accept WebSockets without headers such as Authorization: pages cannot send them.'
}

/** What a report about a gateway says if no page was asked for. */
export const UNTESTED_PAGES = 'Pages were not tested: probe again with the address of one as `origin`.'
