import { expect, it } from 'vitest'
import { Uplink } from '../../src/client/uplink.ts'
import type { UpstreamConnection } from '../../src/terminal/connection.ts'
import { MIB } from '../support/proxy.ts'
import { until } from '../support/upstream.ts'

/** A terminal that keeps the beginning of each message. */
function recorder(): { sent: string[]; terminal: UpstreamConnection } {
  const sent: string[] = []
  const note = async (data: string | Uint8Array): Promise<void> =>
    void sent.push(Buffer.from(data).toString().slice(0, 8))
  const terminal = { write: note, command: note } as Partial<UpstreamConnection> as UpstreamConnection
  return { sent, terminal }
}

it('an uplink whose terminal opens while early messages are read keeps their order', async () => {
  const counters = { bytesToClient: 0, bytesToUpstream: 0, inputDropped: 0, dropped: 0 }
  const uplink = new Uplink({ pause() {}, resume() {} }, { onOverflow: () => expect.unreachable() }, counters)
  const { sent, terminal } = recorder()
  for (let index = 0; index < 4; index += 1)
    uplink.push(Buffer.from(`{"a":${index},"b":"${'x'.repeat(50_000)}"}`), false)
  uplink.startReading(MIB)
  uplink.startSending(terminal)
  uplink.push(Buffer.from('typed'), true)
  await until(() => sent.includes('typed'))
  uplink.push(Buffer.from('later'), true)
  uplink.push(Buffer.from('[]'), false)
  expect(sent).toEqual(['{"a":0,"', '{"a":1,"', '{"a":2,"', '{"a":3,"', 'typed', 'later'])
})
