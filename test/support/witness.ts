/* eslint-disable no-underscore-dangle -- what xterm.js does not tell can only be read inside of it */
import { Terminal } from '@xterm/headless'

// What the public interface of xterm.js does not tell.
interface Core {
  readonly options: { cursorBlink?: boolean; convertEol?: boolean }
  readonly buffers: { readonly normal: Screen; readonly alt: Screen; readonly active: Screen }
  readonly coreService: {
    isCursorHidden: boolean
    readonly decPrivateModes: { readonly cursorStyle?: string; readonly cursorBlink?: boolean }
  }
  readonly coreMouseService: { readonly activeProtocol: string; readonly activeEncoding: string }
  readonly _charsetService: { readonly charset: unknown; readonly glevel: number; readonly _charsets: unknown[] }
  readonly _inputHandler: {
    readonly _windowTitle: string
    readonly _iconName: string
    readonly _curAttrData: Pen
    onColor(listener: (changes: readonly ColourChange[]) => void): void
  }
}
interface Screen {
  readonly x: number
  readonly y: number
  readonly scrollTop: number
  readonly scrollBottom: number
  readonly tabs: Record<number, boolean>
  readonly savedX: number
  readonly savedY: number
  readonly ybase: number
  readonly savedCurAttrData: Pen
}
interface Pen {
  readonly extended: { readonly urlId: number }
  getFgColorMode(): number
  getFgColor(): number
  getBgColorMode(): number
  getBgColor(): number
  getUnderlineColorMode(): number
  getUnderlineColor(): number
  getUnderlineStyle(): number
  isBold(): number
  isDim(): number
  isItalic(): number
  isBlink(): number
  isInverse(): number
  isInvisible(): number
  isStrikethrough(): number
  isOverline(): number
  isProtected?(): number
}
interface ColourChange {
  /** 0 asks for a colour, 1 sets it, 2 sets the default again. */
  readonly type: number
  readonly index?: number
  readonly color?: readonly number[]
}

/** A terminal of xterm.js that says everything about its state. */
export class Witness {
  readonly terminal: Terminal
  /** What it has typed by itself. */
  typed = ''
  bells = 0
  /** The colours that programs have set: of the palette, and from 256 on text, background and cursor. */
  readonly colours: Map<number, string> = new Map()
  readonly #core: Core
  // The last hyperlink. xterm.js forgets it when the line is cleared.
  #link = ''

  constructor(cols = 80, rows = 24, scrollback = 0) {
    this.terminal = new Terminal({ cols, rows, scrollback, allowProposedApi: true, logLevel: 'off' })
    this.#core = (this.terminal as unknown as { _core: Core })._core
    this.terminal.onData((data) => (this.typed += data))
    this.terminal.onBinary((data) => (this.typed += data))
    this.terminal.onBell(() => (this.bells += 1))
    this.#core._inputHandler.onColor((changes) => changes.forEach((change) => this.#paint(change)))
    this.terminal.parser.registerOscHandler(8, (link) => {
      if (/;./.test(link)) this.#link = link
      return false
    })
    // As the addon does: RIS leaves a hidden cursor hidden in xterm.js 6.
    this.terminal.parser.registerEscHandler({ final: 'c' }, () => {
      this.#core.coreService.isCursorHidden = false
      return false
    })
  }

  show(data: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.terminal.write(data, resolve))
  }

  /** The lines of the window, without spaces at the end. */
  get lines(): string[] {
    const { active } = this.terminal.buffer
    const lines = Array.from({ length: this.terminal.rows }, (_, row) => active.getLine(active.baseY + row))
    return lines.map((line) => String(line?.translateToString(true)))
  }

  /** What is set, and does not depend on what has been printed. */
  get settings(): Record<string, unknown> {
    const {
      options,
      coreService,
      coreMouseService,
      buffers,
      _charsetService: charsets,
      _inputHandler: input,
    } = this.#core
    const { cursorStyle, cursorBlink } = coreService.decPrivateModes
    const { active, normal } = buffers
    return {
      ...this.terminal.modes,
      screen: this.terminal.buffer.active.type,
      isCursorHidden: coreService.isCursorHidden,
      cursor: [cursorStyle, cursorBlink, options.cursorBlink],
      isNewLine: options.convertEol,
      mouse: [coreMouseService.activeProtocol, coreMouseService.activeEncoding],
      titles: [input._windowTitle, input._iconName],
      colours: Object.fromEntries([...this.colours].sort(([a], [b]) => a - b)),
      charset: charsets.charset,
      charsets: [0, 1, 2, 3].map((level) => charsets._charsets[level]),
      level: charsets.glevel,
      region: [active.scrollTop, active.scrollBottom],
      mainRegion: [normal.scrollTop, normal.scrollBottom],
      tabs: Object.keys(active.tabs).filter((column) => active.tabs[Number(column)]),
      pen: lookOf(input._curAttrData),
      link: input._curAttrData.extended.urlId > 0 ? this.#link : undefined,
      saved: lookOf(active.savedCurAttrData),
      mainSaved: lookOf(normal.savedCurAttrData),
    }
  }

  #paint({ type, index, color }: ColourChange): void {
    if (type === 2 && index === undefined)
      for (const entry of this.colours.keys()) if (entry < 256) this.colours.delete(entry)
    if (index === undefined) return
    if (type === 1) this.colours.set(index, String(color))
    if (type === 2) this.colours.delete(index)
  }
}

function lookOf(pen: Pen): string {
  const underline = pen.getUnderlineStyle()
  return [
    ['fg', pen.getFgColorMode(), pen.getFgColor()],
    ['bg', pen.getBgColorMode(), pen.getBgColor()],
    underline > 0 ? ['ul', underline, pen.getUnderlineColorMode(), pen.getUnderlineColor()] : [],
    pen.isBold() ? 'bold' : [],
    pen.isDim() ? 'dim' : [],
    pen.isItalic() ? 'italic' : [],
    pen.isBlink() ? 'blink' : [],
    pen.isInverse() ? 'inverse' : [],
    pen.isInvisible() ? 'invisible' : [],
    pen.isStrikethrough() ? 'strikethrough' : [],
    pen.isOverline() ? 'overline' : [],
    pen.isProtected?.() ? 'protected' : [],
  ]
    .flat()
    .join(' ')
}
