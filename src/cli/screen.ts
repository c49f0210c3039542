import type { Host, Output } from './host.ts'

/** Colours, where they are wanted. */
export interface Paint {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
}

/** Returns what colours text for a stream: as it is for no terminal, and for those who want none. */
export function paintFor({ isTTY = false }: Output, host: Host): Paint {
  const isColoured = isTTY && !host.env['NO_COLOR'] && !isDumb(host)
  const paint = (code: number) => (text: string) => (isColoured ? `\u001b[${code}m${text}\u001b[0m` : text)
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32) }
}

/** Whether it is a terminal that can do nothing but print. */
function isDumb({ env }: Host): boolean {
  return env['TERM'] === 'dumb'
}

/** A line that tells what is taking so long, and for how long. */
export interface Progress {
  /** Takes the line away. */
  stop(): void
}

// ms after which the user may wonder.
const PATIENCE = 1_000
const PATIENCE_OF_LOGS = 5_000

/** Begins to tell; where the line could not be taken away again, because it is no terminal, just once. */
export function startProgress(host: Host, text: string, since: number = performance.now()): Progress {
  const { stderr } = host
  if (!stderr.isTTY || isDumb(host)) {
    const timer = setTimeout(() => stderr.write(`${text} …\n`), PATIENCE_OF_LOGS)
    return { stop: () => clearTimeout(timer) }
  }
  let isShown = false
  const timer = setInterval(() => {
    isShown = true
    const line = `${text} … ${Math.round((performance.now() - since) / 1_000)} s`
    // A line that wraps could not be taken away.
    stderr.write(`\r\u001b[K${line.slice(0, (stderr.columns ?? 80) - 1)}`)
  }, PATIENCE)
  return {
    stop() {
      clearInterval(timer)
      if (isShown) stderr.write('\r\u001b[K')
      isShown = false
    },
  }
}
