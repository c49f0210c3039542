// The suite for every runtime. It uses Web APIs only, and never asks which runtime it is in. Where runtimes differ, the
// cases use the facts that were found out earlier in the same run.
import { collect, expectEqual, expectRejection, runCases, TextDecoder, TextEncoder } from './expect.mjs'
import { factCases } from './facts.mjs'

/**
 * Runs all cases. Resolves with the facts, and with the name of each case and its error, if it failed.
 *
 * `settings` are options for every terminal.
 */
export async function runSuite(tested, upstreams, settings) {
  const library = { ...tested, connectTerminal: (options) => tested.connectTerminal({ ...settings, ...options }) }
  const facts = { missing: [] }
  const found = await runCases(factCases(library, upstreams, facts))
  // The releases run at the same time, because most of their time is waiting.
  const perRelease = await Promise.all(
    Object.entries(upstreams.releases).map(([release, base]) => {
      const ada = { base, key: upstreams.key, userId: 'ada' }
      return runCases(releaseCases(library, ada, release, facts), `${release}: `)
    }),
  )
  const rest = await runCases({ ...terminalCases(library, upstreams, facts), ...pureCases(library) })
  const results = [...found, ...perRelease.flat(), ...rest]
  return { results, facts }
}

// The releases that require the user in a header of the handshake.
const REQUIRE_HEADERS = ['open-terminal@0.14', 'open-terminal@0.14.5']

/** The cases for each release. */
function releaseCases(library, ada, release, facts) {
  const { connectTerminal, listTerminalSessions, TerminalError } = library
  const once = { attempts: 1, delay: 0 }

  /** Resolves with a terminal, or with `undefined` after the expected error where a runtime cannot attach. */
  async function attach(options) {
    if (facts.headers || !REQUIRE_HEADERS.includes(release)) return connectTerminal({ ...ada, ...options })
    const refused = connectTerminal({ ...ada, retry: once, ...options })
    const { message } = await expectRejection('without headers', refused, 'ERR_TERMINAL_NOT_FOUND')
    expectEqual('the advice names the header', message.includes('wants X-User-Id, which cannot be sent'), true)
    return undefined
  }

  async function expectNoSessions() {
    expectEqual('sessions left', await listTerminalSessions(ada), [])
  }

  /** Sends input, a paste and a size, and expects the output of each. */
  async function expectEcho(terminal) {
    const output = collect(terminal)
    await terminal.write('grüße 🌍\n')
    await output.until('grüße 🌍\n')
    const paste = `${'0123456789abcdef'.repeat(1024)}!`
    await terminal.write(new TextEncoder().encode(paste))
    await output.until(paste)
    terminal.resize(132, 50)
    await output.until('50 rows, 132 columns\n')
  }

  return {
    async 'attaches with the defaults, writes, reads, resizes, closes and leaves no session'() {
      const terminal = await attach()
      if (terminal) {
        await expectEcho(terminal)
        expectEqual('the close', await terminal.close(), { code: 1000, reason: '', cause: 'local' })
        expectEqual('closed', await terminal.closed, await terminal.close())
      } else facts.missing.push(release)
      await expectNoSessions()
    },
    async 'attaches with tokenInUrl fallback'() {
      const terminal = await attach({ tokenInUrl: 'fallback', size: { cols: 100, rows: 30 } })
      if (terminal) {
        await collect(terminal).until('30 rows, 100 columns\n')
        await terminal.close()
      }
      await expectNoSessions()
    },
    async 'notices that the shell has ended'() {
      const terminal = await attach()
      if (terminal) {
        await terminal.write('exit\n')
        expectEqual('the close', await terminal.closed, { code: 1000, reason: '', cause: 'exited' })
      }
      await expectNoSessions()
    },
    async 'rejects with a typed error for a wrong key, in a request and in an attach'() {
      const { createTerminalSession, deleteTerminalSession } = library
      const wrong = { ...ada, key: 'wrong', retry: once }
      const error = await expectRejection('a request', connectTerminal(wrong), 'ERR_TERMINAL_UNAUTHORIZED')
      expectEqual('instanceof', [error instanceof TerminalError, error.status], [true, 401])
      const { id: sessionId } = await createTerminalSession(ada)
      await expectRejection('an attach', connectTerminal({ ...wrong, sessionId }), 'ERR_TERMINAL_UNAUTHORIZED')
      expectEqual('a given session is not deleted', await deleteTerminalSession({ ...ada, sessionId }), true)
    },
    async 'is probed, if the library has a probe'() {
      if (!library.probeUpstream) return
      const { ok, works, checks } = await library.probeUpstream({ ...ada, idle: 100, timeout: 2_000 })
      expectEqual('the outcome', [ok, works], [true, release === 'terminals@0.0.2' ? 'token+frame' : 'frame'])
      expectEqual('a refusal', checks.find(({ name }) => name === 'unknown-session').outcome !== 'failed', true)
      await expectNoSessions()
    },
    async 'runs commands, if the library can'() {
      const { runCommand, startCommand } = library
      if (!runCommand) return
      const [command, stdin] = ['cat; printf "$SENT" >&2; exit 3', 'grüße 🌍\n']
      const result = await runCommand({ ...ada, command, stdin, env: { SENT: "it's" } })
      const ended = { timedOut: false, truncated: false }
      expectEqual('the result', result, { exitCode: 3, stdout: stdin, stderr: "it's", ...ended })
      const { stdout } = await runCommand({ ...ada, command: String.raw`printf '\377\000'`, encoding: 'buffer' })
      expectEqual('bytes', [stdout instanceof Uint8Array, ...stdout], [true, 255, 0])
      const running = await startCommand({ ...ada, command: 'echo ready; exec sleep 600' })
      for await (const { stream, data } of running) {
        expectEqual('output as it comes', [stream, new TextDecoder().decode(data)], ['stdout', 'ready\n'])
        await running.kill()
      }
      expectEqual('the signal', (await running.result).signal, 'SIGTERM')
    },
    async 'rejects with a typed error for an unknown session'() {
      const unknown = connectTerminal({ ...ada, sessionId: 'unknown', retry: once })
      await expectRejection('an attach', unknown, 'ERR_TERMINAL_NOT_FOUND')
    },
  }
}

/** The cases for terminals and sessions that do not depend on the release. */
function terminalCases(library, { key, releases, witness, refusing }, facts) {
  const { connectTerminal, listTerminalSessions, TerminalError } = library
  const ada = { base: releases['terminals@0.2.2'], key, userId: 'ada' }
  const visit = (sessionId) => connectTerminal({ ...ada, base: witness, sessionId, settle: 50 })

  /** Connects to a port without a server. Counts the calls for the key: one per request and per dial. */
  async function connectRefused(options, attempts) {
    let keyCalls = 0
    const counted = () => ((keyCalls += 1), key)
    const retry = { attempts, delay: 1 }
    const connecting = connectTerminal({ ...ada, ...options, base: refusing, key: counted, retry })
    const { cause } = await expectRejection('a refusal', connecting, 'ERR_TERMINAL_UNAVAILABLE')
    return { keyCalls, cause }
  }

  /**
   * Expects a second attempt only if the runtime's error has a `code`. Without a code, the package cannot tell a
   * refused connection from a permanent failure.
   */
  async function expectRetry(options, code) {
    const once = await connectRefused(options, 1)
    const twice = await connectRefused(options, 2)
    expectEqual('the attempts', twice.keyCalls / once.keyCalls, code === undefined ? 1 : 2)
    expectEqual('the code of the cause', twice.cause.code, code)
    const { message } = twice.cause
    // `String(error)` starts with the name of the error. Where errors come from another realm, a copy of an error can
    // have that text as its message.
    expectEqual('the cause has a message, and no name before it', /^(?!\w*Error: )./.test(message), true)
  }

  /** Expects that the handshake carries a header, or a rejection where it cannot carry any. */
  async function expectHeader(options, text) {
    const retry = { attempts: 1, delay: 0 }
    const connecting = connectTerminal({ ...ada, ...options, retry, base: witness, sessionId: 'handshake' })
    if (!facts.headers) {
      await expectRejection('no headers', connecting, 'ERR_INVALID_ARG_VALUE')
      return
    }
    const terminal = await connecting
    await collect(terminal).until(text)
    await terminal.close()
  }

  return {
    async 'creates, lists, finds and deletes sessions'() {
      const { createTerminalSession, getTerminalSession, deleteTerminalSession } = library
      const session = await createTerminalSession(ada)
      const it = { ...ada, sessionId: session.id }
      expectEqual('listed', await listTerminalSessions(ada), [session])
      expectEqual('found', await getTerminalSession(it), session)
      expectEqual('deleted', await deleteTerminalSession(it), true)
      expectEqual('deleted again', await deleteTerminalSession(it), false)
      expectEqual('found again', await getTerminalSession(it), undefined)
    },
    async 'rejects with the reason of the signal, and leaves no session'() {
      const reason = new Error('changed my mind')
      await expectAborted(connectTerminal({ ...ada, signal: AbortSignal.abort(reason) }), reason)
      const controller = new AbortController()
      let keyCalls = 0
      // The second call comes when the session exists, right before the dial.
      const abortsLate = () => ((keyCalls += 1) === 2 && controller.abort(reason), key)
      await expectAborted(connectTerminal({ ...ada, key: abortsLate, signal: controller.signal }), reason)
      expectEqual('sessions left', await listTerminalSessions(ada), [])
    },
    async 'reads bytes with for await until it closes'() {
      const terminal = await connectTerminal(ada)
      await terminal.write('hello')
      let text = ''
      for await (const chunk of terminal) {
        expectEqual('bytes', chunk instanceof Uint8Array, true)
        text += new TextDecoder().decode(chunk)
        if (text === '$ hello') void terminal.close()
      }
      expectEqual('the output', text, '$ hello')
    },
    async 'closes when it is disposed of'() {
      const terminal = await connectTerminal(ada)
      await terminal[Symbol.asyncDispose]()
      expectEqual('the cause', (await terminal.closed).cause, 'local')
      expectEqual('sessions left', await listTerminalSessions(ada), [])
    },
    async 'rejects input and sizes after it has closed'() {
      const terminal = await connectTerminal(ada)
      await terminal.close()
      await expectRejection('write', terminal.write('x'), 'ERR_TERMINAL_CLOSED')
      const resize = Promise.resolve().then(() => terminal.resize(80, 24))
      await expectRejection('resize', resize, 'ERR_TERMINAL_CLOSED')
    },
    async 'closes with 1000'() {
      await (await visit('closing')).close()
      const terminal = await visit('closed')
      await collect(terminal).until('1000')
      await terminal.close()
    },
    async 'reports how the server closed, and that a connection was lost'() {
      const [farewell, reset] = [await visit('farewell'), await visit('reset')]
      await Promise.all([farewell.write('x'), reset.write('x')])
      const { error, ...close } = await farewell.closed
      expectEqual('the close', close, { code: 4321, reason: 'gewiß', cause: 'remote' })
      expectEqual('its error', [error instanceof TerminalError, error.closeReason], [true, 'gewiß'])
      const { code, cause } = await reset.closed
      expectEqual('the loss', { code, cause }, { code: 1006, cause: 'lost' })
    },
    async 'sends a cookie, or rejects where a cookie cannot be sent'() {
      await expectHeader({ authType: 'session', cookie: 'token=jwt' }, '"cookie":"token=jwt"')
    },
    async 'sends headers of the caller with requests, and with the handshake or rejects where they cannot be sent'() {
      const { createTerminalSession, deleteTerminalSession } = library
      const headers = { 'CF-Access-Client-Id': 'id.access' }
      const { id: sessionId } = await createTerminalSession({ ...ada, headers })
      expectEqual('deleted', await deleteTerminalSession({ ...ada, headers, sessionId }), true)
      await expectHeader({ headers }, '"cf-access-client-id":"id.access"')
    },
    async 'retries a refused request if its error has a code, and keeps the cause'() {
      await expectRetry({}, facts.refusedCode)
    },
    async 'retries a refused dial if its error has a code, and keeps the cause'() {
      // A WebSocket class without a status has no code either. A request for the session then finds the code.
      await expectRetry({ sessionId: 's' }, facts.refusal === undefined ? facts.refusedCode : 'ECONNREFUSED')
    },
  }
}

async function expectAborted(promise, reason) {
  const error = await promise.catch((problem) => problem)
  if (error !== reason) throw new Error(`an abort: ${error}, expected the signal's own reason`)
}

function pureCases({ buildUpstreamAuth, buildUpstreamWsUrl, connectTerminal }) {
  return {
    async 'builds the same URL and credentials everywhere'() {
      const url = buildUpstreamWsUrl('https://h/x/?a=1', 'bearer', ' Bearer sk-1 ', 'Ada ü', { sessionId: 'a/b' })
      expectEqual('the URL', url, 'wss://h/x/api/terminals/a%2Fb?a=1&user_id=Ada+%C3%BC&token=sk-1')
      const auth = buildUpstreamAuth({ authType: 'bearer', key: 'sk-1', userId: 'ada' })
      const headers = { 'X-User-Id': 'ada', Authorization: 'Bearer sk-1' }
      expectEqual('the credentials', auth, { headers, message: '{"type":"auth","token":"sk-1"}' })
      const ftp = connectTerminal({ base: 'ftp://h', userId: 'ada' })
      await expectRejection('ftp', ftp, 'ERR_TERMINAL_INVALID_URL')
    },
  }
}
