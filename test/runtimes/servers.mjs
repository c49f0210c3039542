// In test runners, the servers of the package run in the realm of the test, too.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { collect } from './expect.mjs'

/** Attaches to a test upstream, directly and through a gateway. */
export async function expectServersToWork({ connectTerminal, createTerminalGateway, startTestUpstream }) {
  const upstream = await startTestUpstream({ key: 'sk-1' })
  const options = { key: 'sk-1', userId: 'ada', size: { cols: 132, rows: 50 } }
  // A page of jsdom is at another origin than the gateway.
  const gateway = createTerminalGateway({ authorize: () => ({ ...options, base: upstream.url }), origins: 'any' })
  const server = createServer((request, response) => gateway.handleRequest(request, response))
  server.on('upgrade', (request, socket, head) => gateway.handleUpgrade(request, socket, head))
  server.listen(0, '127.0.0.1')
  try {
    await once(server, 'listening')
    for (const base of [upstream.url, `http://127.0.0.1:${server.address().port}`]) {
      const terminal = await connectTerminal({ ...options, base })
      const output = collect(terminal)
      await terminal.write('grüße\n')
      await output.until('grüße\n')
      await terminal.close()
    }
  } finally {
    await gateway.close()
    server.close()
    await upstream.close()
  }
}
