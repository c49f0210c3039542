import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'

const run = promisify(execFile)

/** Returns whether a process is running. A zombie is not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const stat = `/proc/${pid}/stat`
  return !existsSync(stat) || !/\) Z /.test(readFileSync(stat, 'latin1'))
}

/** Runs scripts that import the test upstream, each in its own process. */
export interface Scripts {
  /** Runs a script. Resolves with its output once the process has ended by itself. */
  run(script: string): Promise<string>
  remove(): Promise<void>
}

// The beginning of each script. The connection of a request that is passed to `quiet` does not keep the process alive.
const PREAMBLE = `
  import { request as httpRequest } from 'node:http'
  import { once } from 'node:events'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { startTestUpstream, WebSocket } from './testing.mjs'

  const headers = { 'x-user-id': 'ada' }
  const json = { ...headers, 'content-type': 'application/json' }
  const execute = async ({ url }, command) => {
    const init = { method: 'POST', headers: json, body: JSON.stringify({ command }) }
    return (await fetch(url + '/execute?wait=0.3', init)).json()
  }
  const create = async ({ url }) => (await fetch(url + '/api/terminals', { method: 'POST', headers })).json()
  const attach = async ({ url }, id) => {
    const ws = new WebSocket(url.replace('http', 'ws') + '/api/terminals/' + id + '?user_id=ada')
    ws.on('error', () => {})
    await once(ws, 'open')
    ws.send('{"type":"auth","token":""}')
    ws.ping()
    await once(ws, 'pong')
    return ws
  }
  const request = ({ url }, method) =>
    httpRequest(url + '/api/terminals', { method, headers }).on('error', () => {}).end()
  const quiet = (emitter) => emitter.on('socket', (socket) => socket.unref())
`

/** Bundles the test upstream for scripts. */
export async function prepareScripts(): Promise<Scripts> {
  const folder = await mkdtemp(join(tmpdir(), 'testing-'))
  await build({
    stdin: {
      contents: "export * from './src/testing.ts'; export { WebSocket } from 'ws'",
      resolveDir: process.cwd(),
    },
    bundle: true,
    platform: 'node',
    format: 'esm',
    // `ws` is CommonJS and calls `require`.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" },
    outfile: join(folder, 'testing.mjs'),
    logLevel: 'error',
  })
  return {
    async run(script) {
      const options = { cwd: folder, timeout: 8_000, killSignal: 'SIGKILL' } as const
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PREAMBLE + script], options)
      return stdout
    },
    remove: () => rm(folder, { recursive: true }),
  }
}
