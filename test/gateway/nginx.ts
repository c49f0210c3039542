import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { certificate, privateKey } from '../support/certificate.ts'
import { allBlocks } from '../support/pages.ts'
import { freePort } from '../support/upstream.ts'

/** Whether nginx is installed. */
export function hasNginx(): boolean {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Returns the blocks of lines for nginx in the gateway page. */
function readmeLines(): string[] {
  return allBlocks.filter(({ language }) => language === 'nginx').map(({ code }) => code)
}

export interface Nginx {
  readonly url: string
  stop(): Promise<void>
}

/** Starts nginx with TLS and the lines of the gateway page in front of a gateway and an upstream on this machine. */
export function startNginx(gatewayPort: number, upstreamPort: number): Promise<Nginx> {
  const [forServer = ''] = readmeLines()
  const lines = forServer
    .replace('http://127.0.0.1:8080;', `http://127.0.0.1:${gatewayPort};`)
    .replace('http://127.0.0.1:8000;', `http://127.0.0.1:${upstreamPort};`)
  return start('', lines)
}

/** Starts nginx with the configuration of the gateway page for Open WebUI, in front of a gateway and an upstream. */
export async function startForOpenWebUI(gatewayPort: number, upstreamPort: number): Promise<Nginx> {
  const [, server = ''] = readmeLines()
  const port = await freePort()
  const lines = server
    .replace('listen 127.0.0.1:8081;', `listen 127.0.0.1:${port};`)
    .replace('http://127.0.0.1:8080;', `http://127.0.0.1:${gatewayPort};`)
    .replace('http://127.0.0.1:8000;', `http://127.0.0.1:${upstreamPort};`)
  return { ...(await start(lines, 'return 404;')), url: `http://127.0.0.1:${port}` }
}

/** Starts nginx with TLS and the lines of the gateway page in front of gateways, by their names a0, a1, b0 and b1. */
export function startBalancer(ports: Readonly<Record<'a0' | 'a1' | 'b0' | 'b1', number>>): Promise<Nginx> {
  const [forServer = '', , forHttp = '', forNames = ''] = readmeLines()
  const balancer = forHttp
    .replaceAll('10.0.0.1:8080', `127.0.0.1:${ports.a0}`)
    .replaceAll('10.0.0.1:8081', `127.0.0.1:${ports.a1}`)
    .replaceAll('10.0.0.2:8080', `127.0.0.1:${ports.b0}`)
    .replaceAll('10.0.0.2:8081', `127.0.0.1:${ports.b1}`)
  return start(balancer, forServer.replace(/^location .*terminals.*$/m, forNames))
}

/** Starts nginx without TLS that answers 403 to all who do not send these headers, as Cloudflare Access does. */
export function startAccess(upstreamUrl: string, headers: Record<string, string>): Promise<Nginx> {
  const checks = Object.entries(headers).map(([name, value]) => {
    return `if ($http_${name.toLowerCase().replaceAll('-', '_')} != "${value}") { return 403; }`
  })
  return start('', `${checks.join('\n')} ${passOn(upstreamUrl)}`, { hasTls: false })
}

/** Starts nginx without TLS that wants basic auth from all. */
export function startBasicAuth(upstreamUrl: string, user: string, password: string): Promise<Nginx> {
  const lines = `auth_basic "private"; auth_basic_user_file users; ${passOn(upstreamUrl)}`
  return start('', lines, { hasTls: false, users: `${user}:{PLAIN}${password}\n` })
}

/**
 * Starts nginx without TLS in front of a server. `lines` are those for its terminals, `forHttp` those of its `http`
 * block.
 */
export function startFront(upstreamUrl: string, lines: string, forHttp = ''): Promise<Nginx> {
  const forServer = `location /api { proxy_pass ${upstreamUrl}; ${lines} } location / { proxy_pass ${upstreamUrl}; }`
  return start(forHttp, forServer, { hasTls: false })
}

/** Returns lines that pass everything on, WebSockets included. */
function passOn(upstreamUrl: string): string {
  const [forServer = ''] = readmeLines()
  const [headers = ''] = forServer.split('location')
  return `${headers} location / { proxy_pass ${upstreamUrl}; }`
}

/** Starts nginx with lines for its `http` and its `server` block. `users` is for basic auth. */
async function start(forHttp: string, forServer: string, { hasTls = true, users = '' } = {}): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-nginx-'))
  const port = await freePort()
  writeFileSync(join(folder, 'cert.pem'), certificate)
  writeFileSync(join(folder, 'key.pem'), privateKey, { mode: 0o600 })
  writeFileSync(join(folder, 'users'), users)
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/nginx.pid; error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  ${forHttp}
  server {
    listen 127.0.0.1:${port}${hasTls ? ' ssl' : ''};
    ssl_certificate ${folder}/cert.pem;
    ssl_certificate_key ${folder}/key.pem;
    ${forServer}
  }
}
`,
  )
  const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'inherit' })
  while (!(await accepts(port))) await sleep(20)
  return {
    url: `${hasTls ? 'https' : 'http'}://127.0.0.1:${port}`,
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
