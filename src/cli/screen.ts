import type { Host, OutputStream } from './host.ts'

/** Functions that colour text. */
export type Paint = Readonly<Record<'bold' | 'dim' | 'red' | 'green', (text: string) => string>>

/** Returns functions that colour text for a terminal, and change nothing for a file or where NO_COLOR is set. */
export function paintFor({ isTTY = false }: OutputStream, host: Host): Paint {
  const isColoured = isTTY && !host.env['NO_COLOR'] && !isDumb(host)
  const paint = (code: number) => (text: string) => (isColoured ? `\u001b[${code}m${text}\u001b[0m` : text)
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32) }
}

/** Whether the terminal can only print. */
function isDumb({ env }: Host): boolean {
  return env['TERM'] === 'dumb'
}

const PROGRESS_DELAY_MS = 1_000
// A line that cannot be removed appears later.
const LOG_DELAY_MS = 5_000

/**
 * Shows a line that says what takes long, and for how many seconds. In a file, or on a terminal that can only print,
 * adds one line that stays. Returns a function that removes the line.
 */
export function startProgress(host: Host, text: string, since: number = performance.now()): () => void {
  const { stderr } = host
  if (!stderr.isTTY || isDumb(host)) {
    const timer = setTimeout(() => stderr.write(`${text} …\n`), LOG_DELAY_MS)
    return () => clearTimeout(timer)
  }
  // A line that was never shown must not be removed: the cursor may be in a line of output.
  let isShown = false
  const timer = setInterval(() => {
    isShown = true
    const line = `${text} … ${Math.round((performance.now() - since) / 1_000)} s`
    // A line that wraps cannot be removed.
    stderr.write(`\r\u001b[K${line.slice(0, (stderr.columns ?? 80) - 1)}`)
  }, PROGRESS_DELAY_MS)
  return () => {
    clearInterval(timer)
    if (isShown) stderr.write('\r\u001b[K')
    isShown = false
  }
}
