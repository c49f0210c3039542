import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { createTerminalSession, listTerminalSessions } from '../../src/index.ts'
import { ask, KEY, USER } from '../support/raw-client.ts'
import { openPane, type Pane } from './tmux.ts'

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** Tests the command in a real terminal, as a person uses it, on a server whose shell has a PTY. */
export function describeCommand(name: string, url: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const pidFile = join(folder, 'pid')
  const attach = `sh -c 'echo $$ >${pidFile}; exec node ${command} attach ${url} --user ${USER}'`

  const exec = `node ${command} exec ${url} --user ${USER} --`

  /** Sends a signal to the command that was started last. */
  function kill(signal: NodeJS.Signals): void {
    process.kill(Number(readFileSync(pidFile, 'utf8')), signal)
  }

  async function sessions(): Promise<number> {
    return (await listTerminalSessions({ base: url, key: KEY, userId: USER })).length
  }

  /** Resolves with the status of each command that the server knows. */
  async function commands(): Promise<string[]> {
    const [, entries] = await ask({ url }, 'GET', '/execute')
    return (entries as Array<{ status: string }>).map(({ status }) => status)
  }

  /** Checks that no command runs. The program around one cleans up after it has told its status. */
  async function haveEnded(): Promise<void> {
    await expect.poll(commands, { timeout: 10_000 }).not.toContain('running')
  }

  /** Attaches, and resolves when the remote shell takes commands. */
  async function sit(env: Record<string, string> = {}, shell = 'sh'): Promise<Pane> {
    const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY, ...env }, { shell })
    await pane.enter(`${attach}; echo "status $?"`)
    await expect.poll(sessions, { timeout: 20_000 }).toBe(1)
    // Works with every prompt. Input before the prompt is not lost.
    await pane.enter(`PS1='remote''$ '`)
    await pane.shows(/^remote\$ ?$/m)
    return pane
  }

  async function leave(pane: Pane): Promise<void> {
    await pane.enter('exit')
    await pane.shows(/status 0/)
  }

  /** Checks that the terminal echoes lines again, and that the remote shell has ended. */
  async function isRestored(pane: Pane): Promise<void> {
    await pane.enter('clear; stty -a | grep -ow -e "-*icanon" -e "-*echo" -e "-*isig"')
    await pane.shows(/^isig\nicanon\necho$/m)
    await expect.poll(sessions, { timeout: 10_000 }).toBe(0)
  }

  describe(name, () => {
    it('attach sends commands, and ends with 0 when the shell has ended', async () => {
      const pane = await sit()
      await pane.enter('echo "6 x 7 = $((6 * 7))"')
      await pane.shows(/^6 x 7 = 42$/m)
      await pane.enter('exit')
      await pane.shows(/^The shell has ended\.\nstatus 0$/m)
      await isRestored(pane)
    })

    it('attach follows the size of the window', async () => {
      const pane = await sit()
      await pane.enter('stty size')
      await pane.shows(/^30 100$/m)
      await pane.resize(132, 40)
      await pane.enter('clear; stty size')
      await pane.shows(/^40 132$/m)
      await leave(pane)
    })

    // The program repeats the paste: an old server takes no more than 16 KB otherwise.
    it('attach sends a paste of 300 KB without loss', async () => {
      const pane = await sit()
      const text = Array.from({ length: 4_226 }, (_line, index) => `${index} ${'0123456789'.repeat(6)}\n`).join('')
      const hash = createHash('sha256').update(text).digest('hex')
      await pane.enter(`stty raw -echo; echo re'ady'; head -c ${text.length} | tee /dev/stderr | sha256sum; stty sane`)
      await pane.shows(/ready/)
      await pane.paste(text)
      await pane.shows(new RegExp(hash))
      await leave(pane)
    })

    it('attach sends Ctrl-C and Ctrl-Z to the remote shell', async () => {
      const pane = await sit()
      await pane.enter(`stty raw -echo; echo re'ady'; head -c 2 | od -An -tu1; stty sane`)
      await pane.shows(/ready/)
      await pane.press('C-c', 'C-z')
      await pane.shows(/^ +3 +26$/m)
      await leave(pane)
    })

    it('attach continues after a stop with the new size of the window', async () => {
      const pane = await sit()
      kill('SIGTSTP')
      await pane.shows(/^local\$ ?$/m)
      await pane.resize(132, 40)
      // Shells with line editing do this themselves.
      await pane.press('stty sane', 'C-j')
      await pane.enter('clear; fg')
      await pane.isRaw()
      await pane.enter('stty size')
      // Only the remote terminal echoes it.
      expect((await pane.shows(/^40 132$/m)).match(/stty size/g)).toHaveLength(1)
      await pane.enter('exit')
      await pane.shows(/The shell has ended/)
    })

    it('attach detaches at ~.', async () => {
      const pane = await sit()
      await pane.enter('~~')
      await pane.press('~', '.')
      await pane.shows(/^Detached\.\nstatus 1$/m)
      await isRestored(pane)
    })

    it.each([
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const)('attach restores every mode of the terminal at %s, and ends with %i', async (signal, status) => {
      const pane = await sit()
      // The alternate screen, no cursor, no wrapping, reports of the mouse, insert mode, half a screen, and colours.
      await pane.enter(`printf '\\033[?1049h\\033[?25l\\033[?7l\\033[?1003h\\033[4h\\033[1;9r\\033[31m'; echo all''red`)
      await pane.shows(/^allred$/m)
      kill(signal)
      await pane.shows(new RegExp(`^status ${status}$`, 'm'))
      expect(await pane.screen()).not.toContain('allred')
      await isRestored(pane)
    })

    it('attach restores the terminal when it crashes, and prints the error', async () => {
      const crash = join(folder, 'crash.mjs')
      writeFileSync(crash, `process.on('SIGUSR2', () => { throw new Error('a mistake of ours') })`)
      const pane = await sit({ NODE_OPTIONS: `--import=${crash}` })
      kill('SIGUSR2')
      await pane.shows(/Error: a mistake of ours[^]*^status 1$/m)
      await isRestored(pane)
    })

    // Some shells forward the signal of a closed window, so it comes twice.
    it.each(['sh', 'bash'])('attach ends the remote shell when the window of %s is closed', async (shell) => {
      const pane = await sit({}, shell)
      await pane.close()
      await expect.poll(sessions, { timeout: 10_000 }).toBe(0)
    })

    it('attach asks for the key without showing it', async () => {
      const pane = await openPane()
      await pane.enter(`${attach}; echo "status $?"`)
      await pane.shows(/Key \(Enter for none\):/)
      await pane.enter(KEY)
      await expect.poll(sessions, { timeout: 20_000 }).toBe(1)
      expect(await pane.screen()).not.toContain(KEY)
      await leave(pane)
    })

    it('attach runs the commands in a pipe', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      // The PTY of the test upstream may lose output right before its end: microsoft/node-pty#72.
      await pane.enter(`echo 'echo $((6 * 7)); sleep 1; exit' | ${attach} | cat; echo "status $?"`)
      await pane.shows(/^42$[^]*^status 0$/m)
      await pane.enter(`clear; echo 'echo $((6 * 7))' | ${attach} >/dev/null; echo "status $?"`)
      await pane.shows(/^status 0$/m)
      await isRestored(pane)
    })

    it('exec prints what a command prints, and ends with its status', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      await pane.enter(`${exec} 'echo "6 x 7 = $((6 * 7))"; exit 7'; echo "status $?"`)
      await pane.shows(/^6 x 7 = 42\nstatus 7$/m)
      await isRestored(pane)
    })

    it('exec ends the command on the server at Ctrl-C', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      await pane.enter(`${exec} 'echo be''gun; sleep 600'; echo "status $?"`)
      await pane.shows(/^begun$/m)
      expect(await commands()).toContain('running')
      await pane.press('C-c')
      await pane.shows(/^(?:\^C)?status 130$/m)
      await haveEnded()
      await isRestored(pane)
    })

    it('exec passes a pipe on, and a pipe that is closed ends the command', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      await pane.enter(`seq 1000 | ${exec} 'wc -l; cat; echo err >&2' 2>/dev/null | tail -n 1; ${exec} yes | head -n 1`)
      await pane.shows(/^1000\ny\nlocal/m)
      await haveEnded()
    })

    it('list lists sessions, and rm deletes them', async () => {
      await createTerminalSession({ base: url, key: KEY, userId: USER })
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      await pane.enter(`node ${command} list ${url} --user ${USER}; echo "status $?"`)
      await pane.shows(/^ID +CREATED +PID\n\S+ +\S+ +\d+\nstatus 0$/m)
      await pane.enter(`clear; node ${command} rm ${url} --all --user ${USER}; echo "status $?"`)
      await pane.shows(/^deleted \S+\nstatus 0$/m)
      await isRestored(pane)
    })

    it('probe prints its report and deletes its sessions', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY }, { cols: 200 })
      await pane.enter(`node ${command} probe ${url} --user ${USER} --idle 1; echo "status $?"`)
      await pane.shows(/left silent … \d+ s|without the auth frame … \d+ s|status/)
      const screen = await pane.shows(/^status 0$/m)
      expect(screen).toMatch(/^user_id and token, then auth frame +attached \(\d+ ms\)$/m)
      expect(screen).toMatch(/^sessions deleted +✓ [89] sessions created and deleted/m)
      await isRestored(pane)
    })
  })
}
