import { expect, it } from 'vitest'
import { MIB } from '../support/proxy.ts'
import { digest, noise, OVER, pair, upTo } from '../support/proxy-pair.ts'

// In a file of its own, so that it runs beside other files: the proxy paces the input, which takes about 20 s.
it('a message of 16 MiB from a client arrives at the upstream in frames that every server takes whole', async () => {
  const { ws, upstream, received } = await pair()
  const data = noise(16 * MIB)
  ws.send(data)
  ws.send(OVER)
  const frames = await upTo(OVER, upstream, received)
  const whole = { data: Buffer.concat(frames.map((frame) => frame.data)), isBinary: true }
  expect(digest(whole)).toBe(digest({ data, isBinary: true }))
  expect(frames.every((frame) => frame.isBinary && frame.data.length <= 4096)).toBe(true)
}, 60_000)
