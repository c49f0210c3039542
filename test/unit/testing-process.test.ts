import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isRunning, prepareScripts, type Scripts } from '../support/testing-process.ts'

// Set in `beforeAll`, because all tests share the prepared scripts.
let scripts: Scripts

beforeAll(async () => {
  scripts = await prepareScripts()
})

afterAll(() => scripts.remove())

describe('a process with a running upstream', () => {
  it.each<[when: string, script: string]>([
    ['a reaper is running', 'await create(await startTestUpstream({ idleTimeout: 60_000 }))'],
    [
      'the socket of a client is unreferenced',
      `const upstream = await startTestUpstream()
       const ws = await attach(upstream, (await create(upstream)).id)
       ws._socket.unref()`,
    ],
    [
      'the upstream awaits an auth frame',
      `const upstream = await startTestUpstream()
       const ws = new WebSocket(upstream.url.replace('http', 'ws') + '/api/terminals/x')
       await once(ws, 'open')
       ws._socket.unref()`,
    ],
    [
      'the upstream retries to reach a session',
      `const upstream = await startTestUpstream({ redialDelay: 60_000 })
       const ws = await attach(upstream, 'nowhere')
       ws._socket.unref()`,
    ],
    [
      'a client does not answer a close',
      `const upstream = await startTestUpstream()
       const ws = await attach(upstream, (await create(upstream)).id)
       ws._socket.unref()
       ws.pause()
       upstream.sessions[0].close(1012)`,
    ],
    [
      'a request is stalled',
      `const upstream = await startTestUpstream({ faults: { list: 'stall' } })
       quiet(request(upstream, 'GET'))
       while (upstream.requests.length === 0) await sleep(5)`,
    ],
    [
      'a real shell prompts',
      `const upstream = await startTestUpstream({ shell: 'sh' })
       const ws = await attach(upstream, (await create(upstream)).id)
       ws.send(Buffer.from('\\n'))
       await once(ws, 'message')
       ws._socket.unref()`,
    ],
    [
      'a command runs, and a client waits for its end',
      `const upstream = await startTestUpstream()
       await execute(upstream, 'sleep 60')
       quiet(httpRequest(upstream.url + '/execute?wait=300', { method: 'POST', headers: json }).on('error', () => {}))
         .end('{"command":"sleep 60"}')
       while (upstream.requests.length < 2) await sleep(5)`,
    ],
  ])('ends by itself when %s', async (_when, script) => {
    expect(await scripts.run(`${script}\nconsole.log('idle')`)).toBe('idle\n')
  })

  it('stays alive while it waits for an attached client', async () => {
    const script = `
      const upstream = await startTestUpstream({ shell: 'sh', faults: { attach: { delay: 200 } } })
      const ws = await attach(upstream, (await create(upstream)).id)
      ws.send(Buffer.from('echo $((6 * 7)); exit\\n'))
      let output = ''
      while (!output.includes('42')) output += (await once(ws, 'message'))[0]
      console.log('42')
      ws.terminate()`
    expect(await scripts.run(script)).toBe('42\n')
  })

  it('ends its real shells, and the processes that they have started', async () => {
    const script = `
      const upstream = await startTestUpstream({ shell: 'sh' })
      for (let count = 0; count < 12; count += 1) {
        const ws = await attach(upstream, (await create(upstream)).id)
        ws.send(Buffer.from('sleep 60 & echo "pids: $$ $!;"; sleep 60\\n'))
        let output = ''
        while (!output.includes(';')) output += (await once(ws, 'message'))[0]
        console.log(/pids: (.*);/.exec(output)[1])
        ws.terminate()
      }`
    const pids = (await scripts.run(script)).split(/\s+/).filter(Boolean).map(Number)
    expect(pids.length).toBe(24)
    await expect.poll(() => pids.filter(isRunning), { interval: 5 }).toEqual([])
  })

  it('ends its commands, and the processes that they have started', async () => {
    const script = `
      const upstream = await startTestUpstream()
      const { output } = await execute(upstream, 'sleep 60 </dev/null >/dev/null 2>&1 & echo $!')
      await execute(upstream, 'echo $$; sleep 60')
      const running = (await (await fetch(upstream.url + '/execute', { headers })).json())[1]
      const status = async () => (await fetch(upstream.url + '/execute/' + running.id + '/status', { headers })).json()
      let own
      while (!(own = (await status()).output[0])) await sleep(5)
      console.log(output[0].data + own.data)`
    const pids = (await scripts.run(script)).split(/\s+/).filter(Boolean).map(Number)
    expect(pids.length).toBe(2)
    await expect.poll(() => pids.filter(isRunning), { interval: 5 }).toEqual([])
  })

  it('can close the upstream when nothing else keeps the process alive', async () => {
    const script = `
      const upstream = await startTestUpstream({ idleTimeout: 60_000 })
      await upstream.close()
      console.log('closed')`
    expect(await scripts.run(script)).toBe('closed\n')
  })
})
