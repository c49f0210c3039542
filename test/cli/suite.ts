import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { createTerminalSession, listTerminalSessions } from '../../src/index.ts'
import { KEY } from '../support/raw-client.ts'
import { openPane, type Pane } from './tmux.ts'

const command = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const USER = 'ada'

/** Tries the command in a real terminal, on a server with a real shell that has a PTY, as a person would use it. */
export function describeCommand(name: string, url: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const pidFile = join(folder, 'pid')
  const attach = `sh -c 'echo $$ >${pidFile}; exec node ${command} attach ${url} --user ${USER}'`

  /** Sends a signal to the command that was started last. */
  function kill(signal: NodeJS.Signals): void {
    process.kill(Number(readFileSync(pidFile, 'utf8')), signal)
  }

  async function sessions(): Promise<number> {
    return (await listTerminalSessions({ base: url, key: KEY, userId: USER })).length
  }

  /** Attaches, and resolves when the shell there takes commands. */
  async function sit(env: Record<string, string> = {}, shell = 'sh'): Promise<Pane> {
    const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY, ...env }, { shell })
    await pane.enter(`${attach}; echo "status $?"`)
    await expect.poll(sessions, { timeout: 20_000 }).toBe(1)
    // Whatever its prompt is; and what is typed before it is there is not lost.
    await pane.enter(`PS1='remote''$ '`)
    await pane.shows(/^remote\$ ?$/m)
    return pane
  }

  /** The terminal is as it was: what is typed is shown, line by line, and the shell there has ended. */
  async function isRestored(pane: Pane): Promise<void> {
    await pane.enter('clear; stty -a | grep -ow -e "-*icanon" -e "-*echo" -e "-*isig"')
    await pane.shows(/^isig\nicanon\necho$/m)
    await expect.poll(sessions, { timeout: 10_000 }).toBe(0)
  }

  describe(name, () => {
    it('types, and ends with 0 when the shell has ended', async () => {
      const pane = await sit()
      await pane.enter('echo "6 x 7 = $((6 * 7))"')
      await pane.shows(/^6 x 7 = 42$/m)
      await pane.enter('exit')
      await pane.shows(/^The shell has ended\.\nstatus 0$/m)
      await isRestored(pane)
    })

    it('follows the size of the window', async () => {
      const pane = await sit()
      await pane.enter('stty size')
      await pane.shows(/^30 100$/m)
      await pane.resize(132, 40)
      await pane.enter('clear; stty size')
      await pane.shows(/^40 132$/m)
      await pane.enter('exit')
      await pane.shows(/status 0/)
    })

    it('brings a paste of 300 KB through whole', async () => {
      const pane = await sit()
      const text = `${'0123456789'.repeat(7)}\n`.repeat(4_226)
      const hash = createHash('sha256').update(text).digest('hex')
      await pane.enter(`stty raw -echo; echo re'ady'; head -c ${text.length} | sha256sum; stty sane`)
      await pane.shows(/ready/)
      await pane.paste(text)
      await pane.shows(new RegExp(hash))
      await pane.enter('exit')
      await pane.shows(/status 0/)
    })

    it('leaves Ctrl-C and Ctrl-Z to the shell there', async () => {
      const pane = await sit()
      await pane.enter(`stty raw -echo; echo re'ady'; head -c 2 | od -An -tu1; stty sane`)
      await pane.shows(/ready/)
      await pane.press('C-c', 'C-z')
      await pane.shows(/^ +3 +26$/m)
      await pane.enter('exit')
      await pane.shows(/status 0/)
    })

    it('goes on after it was stopped, with the size that the window has then', async () => {
      const pane = await sit()
      kill('SIGTSTP')
      await pane.shows(/^local\$ ?$/m)
      await pane.resize(132, 40)
      // As shells with line editing do by themselves.
      await pane.press('stty sane', 'C-j')
      await pane.enter('clear; fg')
      await pane.enter('stty size')
      // Shown once, by the terminal there.
      expect((await pane.shows(/^40 132$/m)).match(/stty size/g)).toHaveLength(1)
      await pane.enter('exit')
      await pane.shows(/The shell has ended/)
    })

    it('detaches at ~.', async () => {
      const pane = await sit()
      await pane.enter('~~')
      await pane.press('~', '.')
      await pane.shows(/^Detached\.\nstatus 1$/m)
      await isRestored(pane)
    })

    it.each([
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const)('gives the terminal back at %s, whatever was on it', async (signal, status) => {
      const pane = await sit()
      // The alternate screen, no cursor, no wrapping, reports of the mouse, insert mode, half a screen, and colours.
      await pane.enter(`printf '\\033[?1049h\\033[?25l\\033[?7l\\033[?1003h\\033[4h\\033[1;9r\\033[31m'; echo all''red`)
      await pane.shows(/^allred$/m)
      kill(signal)
      await pane.shows(new RegExp(`^status ${status}$`, 'm'))
      expect(await pane.screen()).not.toContain('allred')
      await isRestored(pane)
    })

    it('gives the terminal back when it crashes, and says of what', async () => {
      const crash = join(folder, 'crash.mjs')
      writeFileSync(crash, `process.on('SIGUSR2', () => { throw new Error('a mistake of ours') })`)
      const pane = await sit({ NODE_OPTIONS: `--import=${crash}` })
      kill('SIGUSR2')
      await pane.shows(/Error: a mistake of ours[^]*^status 1$/m)
      await isRestored(pane)
    })

    // Of which some pass on the signal that they get for it, so that it comes twice.
    it.each(['sh', 'bash'])('ends the shell when its window is closed with %s in it', async (shell) => {
      const pane = await sit({}, shell)
      await pane.close()
      await expect.poll(sessions, { timeout: 10_000 }).toBe(0)
    })

    it('asks for the key without showing it', async () => {
      const pane = await openPane()
      await pane.enter(`${attach}; echo "status $?"`)
      await pane.shows(/Key \(Enter for none\):/)
      await pane.enter(KEY)
      await expect.poll(sessions, { timeout: 20_000 }).toBe(1)
      expect(await pane.screen()).not.toContain(KEY)
      await pane.enter('exit')
      await pane.shows(/status 0/)
    })

    it('runs what is piped in', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      // The test upstream's PTY may lose what is printed right before its end: microsoft/node-pty#72.
      await pane.enter(`echo 'echo $((6 * 7)); sleep 1; exit' | ${attach} | cat; echo "status $?"`)
      await pane.shows(/^42$[^]*^status 0$/m)
      await pane.enter(`clear; echo 'echo $((6 * 7))' | ${attach} >/dev/null; echo "status $?"`)
      await pane.shows(/^status 0$/m)
      await isRestored(pane)
    })

    it('lists sessions, and deletes them', async () => {
      await createTerminalSession({ base: url, key: KEY, userId: USER })
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY })
      await pane.enter(`node ${command} list ${url} --user ${USER}; echo "status $?"`)
      await pane.shows(/^ID +CREATED +PID\n\S+ +\S+ +\d+\nstatus 0$/m)
      await pane.enter(`clear; node ${command} rm ${url} --all --user ${USER}; echo "status $?"`)
      await pane.shows(/^deleted \S+\nstatus 0$/m)
      await isRestored(pane)
    })

    it('probes', async () => {
      const pane = await openPane({ TERMINAL_UPSTREAM_KEY: KEY }, { cols: 200 })
      await pane.enter(`node ${command} probe ${url} --user ${USER} --idle 1; echo "status $?"`)
      await pane.shows(/left silent … \d+ s|without the auth frame … \d+ s|status/)
      const screen = await pane.shows(/^status 0$/m)
      expect(screen).toMatch(/^user_id and token, then auth frame +attached \(\d+ ms\)$/m)
      expect(screen).toMatch(/^sessions deleted +✓ 8 sessions created and deleted/m)
      await isRestored(pane)
    })
  })
}
