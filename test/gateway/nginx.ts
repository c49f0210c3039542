import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { certificate, privateKey } from '../support/certificate.ts'

/** Whether nginx is installed. */
export function hasNginx(): boolean {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Returns the lines for nginx in README.md, with the ports of the gateway and of Open Terminal. */
function readmeLines(gatewayPort: number, upstreamPort: number): string {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const [, lines = ''] = /^```nginx\n(.*?)^```$/ms.exec(readme) ?? []
  return lines
    .replace('http://127.0.0.1:8080;', `http://127.0.0.1:${gatewayPort};`)
    .replace('http://127.0.0.1:8000;', `http://127.0.0.1:${upstreamPort};`)
}

/** Starts nginx with TLS and the lines of README.md in front of two ports of this machine. */
export async function startNginx(
  gatewayPort: number,
  upstreamPort: number,
): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-nginx-'))
  const tlsPort = await freePort()
  writeFileSync(join(folder, 'cert.pem'), certificate)
  writeFileSync(join(folder, 'key.pem'), privateKey, { mode: 0o600 })
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/nginx.pid; error_log stderr error;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  server {
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${folder}/cert.pem;
    ssl_certificate_key ${folder}/key.pem;
    ${readmeLines(gatewayPort, upstreamPort)}
  }
}
`,
  )
  const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'inherit' })
  while (!(await accepts(tlsPort))) await sleep(20)
  return {
    url: `https://127.0.0.1:${tlsPort}`,
    async stop() {
      const ended = once(nginx, 'exit')
      nginx.kill()
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => resolve(false))
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
