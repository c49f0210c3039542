import { expect, it } from 'vitest'
import { digest, noise, pair, upTo } from '../support/proxy-pair.ts'

// In a file of its own, to run beside the others: pacing it takes some 20 s.
it('a message of 16 MiB arrives from the client, in frames that every server takes', async () => {
  const { ws, upstream, received } = await pair()
  const data = noise(16 * 1024 * 1024)
  ws.send(data)
  ws.send('~over')
  const frames = await upTo('~over', upstream, received)
  const whole = { data: Buffer.concat(frames.map((frame) => frame.data)), isBinary: true }
  expect(digest(whole)).toBe(digest({ data, isBinary: true }))
  expect(frames.every((frame) => frame.isBinary && frame.data.length <= 4096)).toBe(true)
}, 60_000)
