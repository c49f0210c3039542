import { expect, it } from 'vitest'
import { createUplink } from '../../src/proxy/uplink.ts'
import type { TerminalCore } from '../../src/terminal/core.ts'

/** A terminal that notes what it is sent. */
function recorder(): { sent: string[]; terminal: TerminalCore } {
  const sent: string[] = []
  const note = async (data: string | Uint8Array): Promise<void> =>
    void sent.push(Buffer.from(data).toString().slice(0, 8))
  const terminal = { write: note, command: note } as Partial<TerminalCore> as TerminalCore
  return { sent, terminal }
}

it('an uplink whose terminal opens while early messages are read keeps their order', async () => {
  const source = { pause() {}, resume() {} }
  const uplink = createUplink(source, () => expect.unreachable(), { bytesToClient: 0, bytesToUpstream: 0, dropped: 0 })
  const { sent, terminal } = recorder()
  for (let index = 0; index < 4; index += 1)
    uplink.push(Buffer.from(`{"a":${index},"b":"${'x'.repeat(50_000)}"}`), false)
  uplink.startReading(1024 * 1024)
  uplink.startSending(terminal)
  uplink.push(Buffer.from('typed'), true)
  for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve))
  uplink.push(Buffer.from('later'), true)
  uplink.push(Buffer.from('[]'), false)
  expect(sent).toEqual(['{"a":0,"', '{"a":1,"', '{"a":2,"', '{"a":3,"', 'typed', 'later'])
})
