import { expect, test } from 'vitest'
import { attachAs, ask, createAs, startGateway } from '../support/terminal-gateway.ts'

test('metrics.mjs counts the clients of a gateway for Prometheus', async () => {
  const example: string = '../examples/metrics.mjs'
  const { register } = (await import(example)) as { register: { metrics(): Promise<string> } }
  const gateway = await startGateway()
  const id = await createAs(gateway)
  const { ws, printed, closed } = await attachAs(gateway, id)
  ws.send(Buffer.from('12345'))
  await printed('12345')
  expect(await register.metrics()).toMatch(/^terminal_clients 1$/m)
  const watcher = await attachAs(gateway, id, { token: 'jwt-ada', watch: true })
  await expect.poll(() => register.metrics()).toMatch(/^terminal_watchers 1$/m)
  watcher.ws.close()
  await expect.poll(() => register.metrics()).toMatch(/^terminal_watchers 0$/m)
  ws.close(1000)
  await closed
  await expect.poll(() => register.metrics()).toMatch(/^terminal_parked 1$/m)
  expect(await register.metrics()).toMatch(/^terminal_clients 0$/m)
  await attachAs(gateway, id)
  await expect.poll(() => register.metrics()).toMatch(/^terminal_parked 0$/m)
  await attachAs(gateway, id)
  await expect.poll(() => register.metrics()).toMatch(/^terminal_attach_seconds_count 3$/m)
  expect(await register.metrics()).toMatch(/^terminal_clients 1$/m)
  await ask(gateway, 'DELETE', `/${id}`)
  await ask(gateway, 'GET', '', {})
  await expect.poll(() => register.metrics()).toMatch(/^terminal_clients 0$/m)
  const metrics = await register.metrics()
  expect(metrics).toMatch(/^terminal_bytes_total\{to="upstream"\} 5$/m)
  expect(metrics).toMatch(/^terminal_closed_total\{code="1000"\} 1$/m)
  expect(metrics).toMatch(/^terminal_refused_total\{reason="unauthorized"\} 1$/m)
  expect(metrics).toMatch(/^terminal_parked 0$/m)
})
