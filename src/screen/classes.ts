// A screen that is larger is not drawn. What scrolls takes a time that grows with the square of the rows, and what is
// inserted one that grows with the columns.
const MOST_CELLS = 100_000
const MOST_ROWS = 500
const MOST_COLUMNS = 1_000

/** A size of a window, in characters. */
export interface WindowSize {
  readonly cols: number
  readonly rows: number
}

/** The main screen, with the lines above it, or the alternate one. */
export interface ScreenBuffer {
  readonly baseY: number
  readonly cursorX: number
  readonly cursorY: number
  readonly length: number
  getLine(row: number):
    | {
        readonly isWrapped: boolean
        readonly length: number
        getCell(column: number): { getChars(): string; getWidth(): number } | undefined
        translateToString(trimRight: boolean, start: number, end: number): string
      }
    | undefined
}

/** A terminal of `@xterm/headless`. */
export interface ScreenTerminal {
  readonly buffer: { readonly active: ScreenBuffer; readonly normal: ScreenBuffer; readonly alternate: ScreenBuffer }
  write(data: string | Uint8Array, callback: () => void): void
  resize(cols: number, rows: number): void
  loadAddon(addon: ScreenSerializer): void
  dispose(): void
}

/** A `SerializeAddon` of `@xterm/addon-serialize`. */
export interface ScreenSerializer {
  activate(terminal: unknown): void
  serialize(options: {
    range: { start: number; end: number }
    excludeModes: boolean
    excludeAltBuffer: boolean
  }): string
  dispose(): void
}

/** The classes that draw whole screens: those of `@xterm/headless` and `@xterm/addon-serialize`. */
export interface ScreenClasses {
  readonly Terminal: new (options: {
    cols: number
    rows: number
    scrollback: number
    allowProposedApi: boolean
  }) => ScreenTerminal
  readonly SerializeAddon: new () => ScreenSerializer
}

export function isDrawable({ cols, rows }: WindowSize): boolean {
  return cols * rows <= MOST_CELLS && rows <= MOST_ROWS && cols <= MOST_COLUMNS
}
