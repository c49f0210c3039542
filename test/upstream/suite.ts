import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  connectTerminal,
  createTerminalSession,
  deleteTerminalSession,
  getTerminalSession,
  listTerminalSessions,
  type ConnectTerminalOptions,
  type TerminalConnection,
} from '../../src/index.ts'
import { probeUpstream } from '../../src/probe.ts'
import { outputWith } from '../support/upstream.ts'
import { API, ask, dial, KEY, USER, withDefaults, type Headers } from '../support/raw-client.ts'
import {
  attaches,
  attachTo,
  chats,
  createOn,
  differences,
  endSession,
  harmless,
  outcomeOf,
  poisons,
  runOn,
  type Difference,
  type Subject,
} from './cases.ts'
import { commandDifferences, describeCommands } from './commands.ts'
import { describeRunCommand } from './run-command.ts'

declare module 'vitest' {
  interface TaskMeta {
    outcome?: { subject: string; column: string; outcome: string }
  }
}

const sha256 = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex')
const LINE = '0123456789\n'

/** Tests connectTerminal with a server, and the server's own behaviour. */
export function describeCases(subject: Subject): void {
  describe(subject.name, () => {
    describe('connectTerminal', () => describeClient(subject))
    describe('runCommand', () => describeRunCommand(subject))
    describe('the server', () => describeServer(subject))
    it('has no session left', async () => {
      const owners: Headers[] = [{}, { 'x-user-id': 'bob' }, { 'x-session-id': 'chat-1' }]
      const lists = owners.map(async (headers) => ask(subject, 'GET', API, headers))
      expect(await Promise.all(lists)).toEqual(owners.map(() => [200, []]))
    })
    // The last ones: a DELETE harms old releases (PROTOCOL 9.13).
    describe('commands', () => {
      describeCommands(subject)
      describeDifferences(subject, commandDifferences)
    })
  })
}

function describeClient({ name, url: base, standIn, flood }: Subject): void {
  const isReal = name.startsWith('Open Terminal')
  const isOld = !standIn.startsWith('0.14')
  const client = { base, key: KEY, userId: USER }

  async function connect(options: Partial<ConnectTerminalOptions> = {}): Promise<TerminalConnection> {
    const terminal = await connectTerminal({ ...client, ...options })
    onTestFinished(async () => void (await terminal.close()))
    return terminal
  }

  async function run(terminal: TerminalConnection, command: string): Promise<string> {
    const output = outputWith(terminal, 'done')
    await terminal.write(`${command}; echo d'one'\n`)
    return output
  }

  it('attaches, sends input, and deletes its session when it closes', async () => {
    const terminal = await connect()
    expect(await run(terminal, 'echo "<$((6 * 7))>"')).toContain('<42>')
    expect(await listTerminalSessions(client)).toMatchObject([{ id: terminal.sessionId }])
    expect(await terminal.close()).toMatchObject({ cause: 'local' })
    expect(await listTerminalSessions(client)).toEqual([])
  })

  it('tells the shell the size of the window', async () => {
    const terminal = await connect({ size: { cols: 132, rows: 50 } })
    expect(await run(terminal, 'stty size')).toContain('50 132')
    terminal.resize(100, 40)
    expect(await run(terminal, 'stty size')).toContain('40 100')
  })

  it('delivers a paste of 300 KB that the program repeats whole', async () => {
    const terminal = await connect()
    const paste = randomBytes(230_400).toString('base64')
    const ready = outputWith(terminal, 'ready')
    await terminal.write(`stty raw -echo; echo re'ady'; head -c ${paste.length}; echo en'd-2'\n`)
    await ready
    const output = outputWith(terminal, 'end-2')
    await terminal.write(paste)
    expect(sha256((await output).replace(/^\s+|end-2.*$/gs, ''))).toBe(sha256(paste))
  })

  // A test upstream would make everybody wait for 30 s; test/unit/input.test.ts has the same with a clock of its own.
  if (isReal && isOld) {
    it('refuses a paste that no program repeats, and the shell lives', async () => {
      const terminal = await connect()
      const ready = outputWith(terminal, 'ready')
      await terminal.write(`stty raw -echo; echo re'ady'; sleep 35; stty sane\n`)
      await ready
      const refused = terminal.write(randomBytes(50_000).toString('base64'))
      await expect(refused).rejects.toMatchObject({ code: 'ERR_TERMINAL_INPUT_STALLED' })
      await terminal.write('\u0003')
      expect(await getTerminalSession({ ...client, sessionId: terminal.sessionId })).toBeDefined()
      expect(terminal.status).toBe('open')
    })
  }

  it(`reads ${flood} bytes of output whole`, async () => {
    const terminal = await connect()
    const ready = outputWith(terminal, 'ready')
    await terminal.write(`stty -echo -opost; echo re'ady'\n`)
    await ready
    await terminal.write(`echo be'gin'; yes ${LINE.trim()} | head -c ${flood}\n`)
    const chunks: Uint8Array[] = []
    let received = 0
    let start = -1
    for await (const chunk of terminal) {
      chunks.push(chunk)
      received += chunk.length
      if (start < 0) start = Buffer.concat(chunks).indexOf('begin\n')
      if (start >= 0 && received >= start + 6 + flood) break
    }
    const printed = Buffer.concat(chunks).subarray(start + 6, start + 6 + flood)
    expect(sha256(printed)).toBe(sha256(LINE.repeat(Math.ceil(flood / LINE.length)).slice(0, flood)))
  }, 30_000)

  it('reads characters that are split between messages', async () => {
    const terminal = await connect()
    const chunks: Uint8Array[] = []
    terminal.onData((chunk) => chunks.push(chunk))
    await run(terminal, "yes '€' | tr -d '\\n' | head -c 90000")
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(4096)
    expect(Buffer.concat(chunks).toString()).toContain('€'.repeat(30_000))
  })

  it('notices that the shell has ended', async () => {
    const terminal = await connect()
    await terminal.write('exit\n')
    expect(await terminal.closed).toMatchObject({ cause: 'exited' })
    expect(await listTerminalSessions(client)).toEqual([])
  })

  it('rejects with ERR_TERMINAL_LIMIT when there are 16 sessions', async () => {
    const sessions = []
    for (let count = 0; count < 16; count += 1) sessions.push(await createTerminalSession(client))
    await expect(connectTerminal(client)).rejects.toMatchObject({ code: 'ERR_TERMINAL_LIMIT', status: 429 })
    for (const { id: sessionId } of sessions) expect(await deleteTerminalSession({ ...client, sessionId })).toBe(true)
  })

  it('rejects with ERR_TERMINAL_UNAUTHORIZED with another key', async () => {
    const connecting = connectTerminal({ ...client, key: 'sk-2' })
    await expect(connecting).rejects.toMatchObject({ code: 'ERR_TERMINAL_UNAUTHORIZED' })
  })

  it('attaches to an existing session of a chat, and does not delete it', async () => {
    const owner = { ...client, chatId: 'chat-1' }
    const { id: sessionId } = await createTerminalSession(owner)
    const terminal = await connect({ chatId: 'chat-1', sessionId })
    expect(await run(terminal, 'echo "<$((6 * 7))>"')).toContain('<42>')
    expect(await getTerminalSession({ ...owner, sessionId })).toMatchObject({ id: sessionId })
    await deleteTerminalSession({ ...owner, sessionId })
  })

  it.runIf(standIn.startsWith('0.14'))('rejects with ERR_TERMINAL_IN_USE when another client is attached', async () => {
    const { sessionId } = await connect()
    await expect(connectTerminal({ ...client, sessionId })).rejects.toMatchObject({ code: 'ERR_TERMINAL_IN_USE' })
  })

  it('rejects with ERR_TERMINAL_NOT_FOUND for an unknown session', async () => {
    const connecting = connectTerminal({ ...client, sessionId: 'nowhere' })
    await expect(connecting).rejects.toMatchObject({ code: 'ERR_TERMINAL_NOT_FOUND' })
  })
}

function describeServer(subject: Subject): void {
  it('has the family and the credentials that probeUpstream reports', async () => {
    const client = { base: subject.url, key: KEY, userId: USER }
    // This timeout is too short for the close after a missing auth frame, which a case below covers.
    const report = await probeUpstream({ ...client, idle: 500, timeout: 2_000 })
    const family = subject.standIn.startsWith('0.14') ? 'open-terminal@>=0.12.4' : 'open-terminal@<=0.12.3'
    expect(report).toMatchObject({ ok: true, works: 'frame', family })
    expect(await listTerminalSessions(client)).toEqual([])
  })

  describeDifferences(subject, differences)

  it.each(attaches)('answers an attach with %s: %3$s', async (_what, { session, ...shape }, expected) => {
    const id = await createOn(subject)
    expect(await outcomeOf(dial(subject, session ?? id, shape))).toBe(expected)
    await ask(subject, 'DELETE', `${API}/${id}`)
  })

  // Each case has its own chat. Where the chat is the id, the end of one session would also end the next.
  it.each(chats)('attaches or refuses a client that names the chat %s', async (_where, chat, shape, isOwner) => {
    const headers = { 'x-session-id': chat }
    const id = await createOn(subject, headers)
    const isChecked = subject.standIn.startsWith('0.14')
    const expected = isOwner || !isChecked ? 'attached' : 'open, 4004 Session not found'
    expect(await outcomeOf(dial(subject, id, shape))).toBe(expected)
    await ask(subject, 'DELETE', `${API}/${id}`, headers)
  })

  it.each(harmless)('keeps the shell after the text %j', async (text) => {
    const id = await createOn(subject)
    const socket = await attachTo(subject, id)
    socket.ws.send(text)
    expect(await runOn(socket, 'echo "<$((6 * 7))>"')).toContain('<42>')
    await endSession(subject, socket, id)
  })

  it.each(poisons.map((text) => [text.slice(0, 40), text]))(
    'ends the shell after the text %s',
    async (_start, text) => {
      const id = await createOn(subject)
      const socket = await attachTo(subject, id)
      socket.ws.send(text)
      expect(await socket.ended).toMatch(/^open, 100[06]$/)
      await endSession(subject, socket, id)
    },
  )

  it.each<[method: string, path: string, headers: Headers, answer: [number, unknown]]>([
    ['GET', '', { authorization: 'Bearer sk-2' }, [401, { detail: 'Invalid API key' }]],
    ['POST', '', { authorization: undefined }, [401, { detail: 'Invalid API key' }]],
    ['GET', '/nowhere', {}, [404, { error: 'Session not found' }]],
    ['DELETE', '/nowhere', {}, [404, { error: 'Session not found' }]],
    ['PUT', '', { authorization: undefined }, [405, { detail: 'Method Not Allowed' }]],
    ['POST', '/nowhere', { authorization: undefined }, [405, { detail: 'Method Not Allowed' }]],
    ['GET', '/', { authorization: undefined }, [307, '']],
    ['OPTIONS', '', { 'access-control-request-method': 'POST' }, [200, 'OK']],
    ['OPTIONS', '', { 'access-control-request-method': 'TRACE' }, [400, 'Disallowed CORS method']],
  ])('answers %s /api/terminals%s with %j, and lets a page read it', async (method, path, headers, answer) => {
    const origin = 'http://page.example'
    const request = { method, headers: withDefaults({ origin, ...headers }), redirect: 'manual' } as const
    const response = await fetch(subject.url + API + path, request)
    const text = await response.text()
    const isJson = response.headers.get('content-type') === 'application/json'
    expect([response.status, isJson ? JSON.parse(text) : text]).toEqual(answer)
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
  })
}

function describeDifferences(subject: Subject, cases: readonly Difference[]): void {
  it.for(cases)('behaves like its stand-in with $title', async ({ column, observe, expected }, { task }) => {
    const outcome = await observe(subject)
    task.meta.outcome = { subject: subject.name, column, outcome }
    expect(outcome).toBe(expected[subject.standIn])
  })
}
