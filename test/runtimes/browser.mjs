// Starts the Chromium of this machine.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'

/** Starts Chromium, with `home` as its home folder. */
export function launchBrowser(home) {
  const quiet = ['background-networking', 'component-update', 'sync'].map((what) => `--disable-${what}`)
  return chromium.launch({
    executablePath: findBrowser(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', ...quiet],
    env: { PATH: process.env.PATH, HOME: home },
    // The caller handles signals.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  })
}

function findBrowser() {
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  const paths = process.env.PATH.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))
  const path = paths.find((candidate) => {
    try {
      accessSync(candidate, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  if (path) return path
  throw new Error('no Chromium on the PATH: install it (Debian: apt install chromium), or name the other runtimes')
}
