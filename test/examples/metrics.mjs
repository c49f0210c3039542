// Counts what the gateways of this process do, for Prometheus. Import it once, and serve `register.metrics()`.
import { subscribe } from 'node:diagnostics_channel'
import { Counter, Gauge, Histogram, register } from 'prom-client'

const attached = new Gauge({ name: 'terminal_clients', help: 'Clients that are attached' })
const bytes = new Counter({ name: 'terminal_bytes_total', help: 'Bytes to clients and upstreams', labelNames: ['to'] })
const closed = new Counter({ name: 'terminal_closed_total', help: 'Clients that were served', labelNames: ['code'] })
const refused = new Counter({ name: 'terminal_refused_total', help: 'Clients that were refused', labelNames: ['code'] })
const seconds = new Histogram({
  name: 'terminal_attach_seconds',
  help: 'From the handshake until the client is attached',
  buckets: [0.01, 0.1, 1, 10],
})

subscribe('terminal-upstream:attached', ({ ms }) => {
  attached.inc()
  seconds.observe(ms / 1000)
})
subscribe('terminal-upstream:closed', ({ code, bytesToClient, bytesToUpstream }) => {
  attached.dec()
  bytes.inc({ to: 'client' }, bytesToClient)
  bytes.inc({ to: 'upstream' }, bytesToUpstream)
  closed.inc({ code })
})
subscribe('terminal-upstream:refused', ({ code }) => refused.inc({ code }))

export { register }
