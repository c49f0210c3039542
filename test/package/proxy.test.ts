import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { startTestUpstream } from '../../src/testing.ts'
import { installPackage, repository } from './support/install.ts'

const folder = installPackage()
const example = join(repository, 'test', 'examples', 'proxy.mjs')

test('README.md contains the example of a gateway unchanged, in fewer than 20 lines', () => {
  const gateway = readFileSync(join(repository, 'test', 'examples', 'gateway.mjs'), 'utf8')
  expect(readFileSync(join(repository, 'README.md'), 'utf8')).toContain(`\`\`\`js\n${gateway}\`\`\``)
  expect(gateway.trimEnd().split('\n').length).toBeLessThan(20)
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

test('the example server joins a page with a valid token to a shell, and closes any other page with 4001', async () => {
  cpSync(example, join(folder, 'proxy.mjs'))
  const upstream = await startTestUpstream({ key: 'sk-1', shell: 'sh' })
  onTestFinished(() => upstream.close())
  const env = { UPSTREAM: upstream.url, UPSTREAM_KEY: 'sk-1', PORT: String(await freePort()) }
  const server = spawn(process.execPath, ['proxy.mjs'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void server.kill())
  const lines = server.stdout.setEncoding('utf8')[Symbol.asyncIterator]()
  const url = String((await lines.next()).value).trim()

  const page = async (token: string): Promise<{ output: string; code: number; reason: string }> => {
    const socket = new WebSocket(url)
    let output = ''
    socket.on('message', (data) => (output += String(data)))
    await once(socket, 'open')
    socket.send(JSON.stringify({ type: 'auth', token }))
    socket.send(Buffer.from('echo "6 x 7 = $((6 * 7))"; exit\n'))
    const [code, reason] = await once(socket, 'close')
    return { output, code, reason: String(reason) }
  }
  expect(await page('let-me-in')).toEqual({ output: '$ 6 x 7 = 42\n', code: 1000, reason: '' })
  expect((await lines.next()).value).toBe('127.0.0.1: ended by the upstream with 1000 \n')
  expect(await page('let-me-out')).toEqual({ output: '', code: 4001, reason: 'Log in again' })
  expect(upstream.sessions).toEqual([])
})
