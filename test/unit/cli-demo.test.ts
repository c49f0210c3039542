import { expect, it } from 'vitest'
import { run } from '../support/host.ts'

it('demo shows where other clients fail, a shell, and every release', async () => {
  const { status, stdout, stderr } = await run(['demo'])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const text = Buffer.from(stdout, 'latin1').toString()
  expect(text).toContain('and the key after that:  ✗ HTTP 403')
  expect(text).toMatch(/hello from sh, process \d+\n {3}\$ uname -s\n/)
  expect(text).toContain('The terminal has closed by itself: exited.')
  expect(text.match(/✓ attached +\?user_id&token, auth frame/g)).toHaveLength(1)
  expect(text.match(/✓ attached +\?user_id, auth frame/g)).toHaveLength(4)
}, 20_000)
