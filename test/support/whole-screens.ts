import { SerializeAddon } from '@xterm/addon-serialize'
import { Terminal } from '@xterm/headless'
import type { Viewer } from '../../src/gateway/replay.ts'
import { SessionOutput } from '../../src/gateway/session-output.ts'
import type { TerminalSize } from '../../src/upstream/protocol.ts'
import { Witness } from './witness.ts'

const SIZE: TerminalSize = { cols: 80, rows: 24 }
const noFlow = { pause: () => {}, resume: () => {} }

/** What a session prints, and the sizes that its window gets. */
export type Event = string | Uint8Array | TerminalSize

/** A session, and a terminal that has shown everything of it. */
export class WatchedSession {
  readonly output: SessionOutput
  readonly witness: Witness
  readonly #piece: number
  readonly #scrollback: number

  constructor(kept: number, { cols, rows }: TerminalSize = SIZE, piece = 4096, scrollback = 1_000, used = Terminal) {
    this.output = new SessionOutput(noFlow, { cols, rows }, { Terminal: used, SerializeAddon })
    this.witness = new Witness(cols, rows, scrollback)
    this.#scrollback = scrollback
    this.#piece = piece
    // The first client gets everything.
    this.output.join(() => ({ push() {}, end() {}, replay() {} }) as never, { onStalled() {} })
    this.output.part()
    this.output.keep(kept)
  }

  async show(...events: readonly Event[]): Promise<void> {
    for (const event of events) {
      if (typeof event === 'object' && 'cols' in event) {
        this.output.resize(event)
        this.witness.terminal.resize(event.cols, event.rows)
      } else {
        const bytes = Buffer.from(event as string)
        for (let at = 0; at < bytes.length; at += this.#piece) this.output.push(bytes.subarray(at, at + this.#piece))
        await this.witness.show(bytes)
      }
    }
  }

  /** A terminal that gets what a client gets, in a window of another size if there is one. */
  async client(size: TerminalSize = this.output.size): Promise<Witness & { isWhole: boolean }> {
    const viewer: Viewer = {
      isGone: false,
      sized: () => {
        this.output.resize(size)
        this.witness.terminal.resize(size.cols, size.rows)
        return Promise.resolve(size)
      },
    }
    const { data, needsRedraw } = await this.output.replayFrom(null, () => viewer)
    const client = new Witness(size.cols, size.rows, this.#scrollback)
    await client.show(data)
    return Object.assign(client, { isWhole: !needsRedraw })
  }
}

/** What a terminal shows: each cell of both screens, and the cursor. */
export function viewOf({ terminal }: Witness): Record<string, unknown> {
  const { active, normal } = terminal.buffer
  const [screen, main] = [active, normal].map((buffer) => {
    const lines = Array.from({ length: terminal.rows }, (_, row) => buffer.getLine(buffer.baseY + row))
    return lines.map((line) => {
      const cells = Array.from({ length: terminal.cols }, (_, column) => {
        const cell = line?.getCell(column)
        if (!cell) return ''
        const look = [
          cell.getFgColorMode() && `f${cell.getFgColor()}`,
          cell.getBgColorMode() && `b${cell.getBgColor()}`,
          cell.isBold() && 'bold', cell.isDim() && 'dim', cell.isItalic() && 'italic', cell.isUnderline() && 'underline',
          cell.isBlink() && 'blink', cell.isInverse() && 'inverse', cell.isInvisible() && 'invisible',
          cell.isStrikethrough() && 'strike', cell.isOverline() && 'over',
        ].filter(Boolean) // prettier-ignore
        // Of a cell without a character, only the background shows.
        const shown = cell.getChars() === '' ? look.filter((each) => /^b\d/.test(String(each))) : look
        return (cell.getWidth() === 0 ? '' : cell.getChars() || ' ') + (shown.length > 0 ? `<${shown.join(' ')}>` : '')
      })
      return cells.join('').trimEnd()
    })
  })
  return { screen, main, cursor: [active.cursorX, active.cursorY], type: active.type }
}

/** Returns a class of terminals, and how many of them have been made and disposed of. */
export function countedTerminals(): {
  readonly Counted: typeof Terminal
  readonly count: { made: number; disposed: number }
} {
  const count = { made: 0, disposed: 0 }
  class Counted extends Terminal {
    constructor(options: object) {
      super(options)
      count.made += 1
    }
    override dispose(): void {
      super.dispose()
      count.disposed += 1
    }
  }
  return { Counted, count }
}
