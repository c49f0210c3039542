import { execFile, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, onTestFinished } from 'vitest'

const run = promisify(execFile)

/** Whether this machine has tmux. */
export const hasTmux: boolean = (() => {
  try {
    execFileSync('tmux', ['-V'])
    return true
  } catch {
    return false
  }
})()

/** A real terminal with a shell of this machine. */
export interface Pane {
  /** Types text and presses Enter. */
  enter(text: string): Promise<void>
  /** Presses keys, which have tmux's names. */
  press(...keys: string[]): Promise<void>
  paste(text: string): Promise<void>
  resize(cols: number, rows: number): Promise<void>
  /** Resolves when the program in the terminal reads keys as they come, and echoes them itself. */
  isRaw(): Promise<void>
  /** Resolves with the text on the screen, without blanks at the ends of lines. */
  screen(): Promise<string>
  /** Resolves with the text on the screen when it matches. */
  shows(pattern: RegExp): Promise<string>
  /** Closes the window, as a user does with a mouse. */
  close(): Promise<void>
}

const patience = { timeout: 20_000, interval: 50 }

/** Opens a terminal, which closes after the test. The prompt of its shell is `local$`. */
export async function openPane(
  env: Record<string, string> = {},
  { cols = 100, rows = 30, shell = 'sh' } = {},
): Promise<Pane> {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-upstream-'))
  const server = ['-S', join(folder, 'tmux'), '-f', '/dev/null']
  const tmux = async (...args: string[]): Promise<string> => (await run('tmux', [...server, ...args])).stdout
  const variables = Object.entries({ ENV: '', HISTFILE: '', LC_ALL: 'C.UTF-8', ...env })
  await run('tmux', [...server, 'new-session', '-d', '-x', `${cols}`, '-y', `${rows}`, shell], {
    env: { PATH: process.env['PATH'], TERM: 'xterm-256color', ...Object.fromEntries(variables) },
  })
  onTestFinished(async () => {
    await tmux('kill-server').catch(() => {})
    rmSync(folder, { recursive: true, force: true })
  })
  const screen = async (): Promise<string> => (await tmux('capture-pane', '-p')).trimEnd()
  const shows = async (pattern: RegExp): Promise<string> => {
    await expect.poll(screen, patience).toMatch(pattern)
    return screen()
  }
  const enter = async (text: string): Promise<void> => {
    await tmux('send-keys', '-l', text)
    await tmux('send-keys', 'Enter')
  }
  // The environment does not work here: for root, some shells ignore a PS1 in it.
  await enter(`PS1='local''$ '; clear`)
  await shows(/^local\$/)
  return {
    enter,
    press: async (...keys) => void (await tmux('send-keys', ...keys)),
    paste: async (text) => {
      const loading = spawn('tmux', [...server, 'load-buffer', '-'])
      loading.stdin.end(text)
      await new Promise((resolve) => loading.once('exit', resolve))
      await tmux('paste-buffer', '-r')
    },
    resize: async (width, height) => void (await tmux('resize-window', '-x', `${width}`, '-y', `${height}`)),
    isRaw: async () => {
      const tty = (await tmux('display-message', '-p', '#{pane_tty}')).trim()
      const modes = async (): Promise<string> => (await run('sh', ['-c', 'stty -a <"$0"', tty])).stdout
      await expect.poll(modes, patience).toMatch(/(?<=\s)-icanon\b/)
    },
    screen,
    shows,
    close: async () => void (await tmux('kill-server')),
  }
}
