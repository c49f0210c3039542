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

/** A terminal as a person has it, with a shell of this machine in it. */
export interface Pane {
  /** Types text, and Enter. */
  enter(text: string): Promise<void>
  /** Presses keys, by tmux's names for them. */
  press(...keys: string[]): Promise<void>
  paste(text: string): Promise<void>
  resize(cols: number, rows: number): Promise<void>
  /** What is on the screen, without the blanks at the ends of lines. */
  screen(): Promise<string>
  /** Resolves with the screen once it shows something. */
  shows(pattern: RegExp): Promise<string>
  /** Closes its window, as with a mouse. */
  close(): Promise<void>
}

const patience = { timeout: 20_000, interval: 50 }

/** Opens a terminal that closes with the test; the prompt of its shell is `local$`. */
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
  // Not in the environment: some shells have a prompt of their own for root.
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
    screen,
    shows,
    close: async () => void (await tmux('kill-server')),
  }
}
