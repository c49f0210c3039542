// Counts what the gateways of this process do, for Prometheus. Import it once, and serve `register.metrics()`.
import { subscribe } from 'node:diagnostics_channel'
import { Counter, Gauge, Histogram, register } from 'prom-client'

const attached = new Gauge({ name: 'terminal_clients', help: 'Clients that are attached' })
const watching = new Gauge({ name: 'terminal_watchers', help: 'Clients that look on' })
const parked = new Gauge({ name: 'terminal_parked', help: 'Sessions whose client has left' })
const bytes = new Counter({ name: 'terminal_bytes_total', help: 'Bytes to clients and upstreams', labelNames: ['to'] })
const closed = new Counter({ name: 'terminal_closed_total', help: 'Sessions that have ended', labelNames: ['code'] })
const refused = new Counter({
  name: 'terminal_refused_total',
  help: 'Clients that were refused',
  labelNames: ['reason'],
})
const seconds = new Histogram({
  name: 'terminal_attach_seconds',
  help: 'From the handshake until the client is attached',
  buckets: [0.01, 0.1, 1, 10],
})

function join({ ms, watch }) {
  if (watch) return watching.inc()
  attached.inc()
  seconds.observe(ms / 1000)
}

function leave({ bytesToClient, bytesToUpstream }) {
  attached.dec()
  bytes.inc({ to: 'client' }, bytesToClient)
  bytes.inc({ to: 'upstream' }, bytesToUpstream)
}

subscribe('terminal-upstream:attached', join)
subscribe('terminal-upstream:parked', (event) => {
  leave(event)
  parked.inc()
})
subscribe('terminal-upstream:resumed', (event) => {
  // A session that is taken over was parked for a moment.
  parked.dec()
  join(event)
})
subscribe('terminal-upstream:closed', (event) => {
  if (event.watch) return watching.dec()
  if (event.wasParked) parked.dec()
  else leave(event)
  closed.inc({ code: event.closeCode })
})
subscribe('terminal-upstream:refused', ({ reason }) => refused.inc({ reason }))

export { register }
