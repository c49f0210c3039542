import { once } from 'node:events'
import { createServer } from 'node:http'
import { onTestFinished } from 'vitest'

/** Serves a gateway until the end of the test, and answers other requests with `next`. Returns its URL. */
export async function serveGateway(gateway, next) {
  const http = createServer((request, response) => {
    gateway.handleRequest(request, response, next && (() => next(response)))
  })
  http.on('upgrade', (request, socket, head) => void gateway.handleUpgrade(request, socket, head))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  onTestFinished(async () => {
    await gateway.close({ drain: 0 })
    http.closeAllConnections()
    http.close()
  })
  return `http://127.0.0.1:${http.address().port}`
}
