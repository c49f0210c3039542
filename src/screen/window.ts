import { nameOf, type Sequence } from './sequence.ts'

const COLOURS = 256
// After those of the palette: of the text, the background and the cursor.
const SPECIAL = 3
// What is kept of a colour that has not been set, or is the default again. Others are a number with a bit more.
const UNTOUCHED = 0
const RESET = 1
const SET = 0x1000000

const END = '\x1b\\'

const LONGEST_TITLE_BYTES = 1024

/** What OSC strings set for a whole window: its titles and its colours. No reset changes them in xterm.js. */
export class WindowLook {
  static readonly #strings = new Map<number, (look: WindowLook, content: string) => void>([
    [nameOf('0'), (look, title) => (look.#icon = look.#title = shorten(title))],
    [nameOf('1'), (look, title) => (look.#icon = shorten(title))],
    [nameOf('2'), (look, title) => (look.#title = shorten(title))],
    [nameOf('4'), (look, content) => look.#setColours(content)],
    [nameOf('10'), (look, content) => look.#setSpecial(0, content)],
    [nameOf('11'), (look, content) => look.#setSpecial(1, content)],
    [nameOf('12'), (look, content) => look.#setSpecial(2, content)],
    [nameOf('104'), (look, content) => look.#resetColours(content)],
    [nameOf('110'), (look) => look.#paint(COLOURS, RESET)],
    [nameOf('111'), (look) => look.#paint(COLOURS + 1, RESET)],
    [nameOf('112'), (look) => look.#paint(COLOURS + 2, RESET)],
  ])
  #title: string | undefined
  #icon: string | undefined
  // Most programs set none.
  #colours: Int32Array | undefined

  clone(): WindowLook {
    const clone = new WindowLook()
    clone.#title = this.#title
    clone.#icon = this.#icon
    clone.#colours = this.#colours?.slice()
    return clone
  }

  /** Takes an OSC string. */
  apply(sequence: Sequence): void {
    const set = WindowLook.#strings.get(sequence.name)
    if (set) set(this, sequence.content)
  }

  /** Returns what gives any window these titles and colours. */
  restore(): string {
    const [title, icon] = [this.#title, this.#icon]
    if (title !== undefined && title === icon) return `\x1b]0;${title}${END}${this.#paintAll(true)}`
    const titles = [
      title === undefined ? '' : `\x1b]2;${title}${END}`,
      icon === undefined ? '' : `\x1b]1;${icon}${END}`,
    ]
    return titles.join('') + this.#paintAll(true)
  }

  /** Returns what gives a window its own colours again. */
  undo(): string {
    return this.#paintAll(false)
  }

  #paintAll(isOn: boolean): string {
    const indexed = [...(this.#colours?.subarray(0, COLOURS) ?? [])]
    const special = [...(this.#colours?.subarray(COLOURS) ?? [])]
    const pairs = indexed.flatMap((colour, index) => (colour >= SET && isOn ? [index, spell(colour)] : []))
    return [
      indexed.some((colour) => colour !== UNTOUCHED) ? `\x1b]104${END}` : '',
      pairs.length > 0 ? `\x1b]4;${pairs.join(';')}${END}` : '',
      ...special.map((colour, index) => {
        if (colour === UNTOUCHED) return ''
        return colour === RESET || !isOn ? `\x1b]11${index}${END}` : `\x1b]1${index};${spell(colour)}${END}`
      }),
    ].join('')
  }

  /** Sets colours of the palette: numbers and colours in turn. */
  #setColours(content: string): void {
    const slots = content.split(';', 2 * COLOURS)
    for (let at = 0; at + 1 < slots.length; at += 2) this.#paint(indexOf(slots[at]), parseColour(slots[at + 1]))
  }

  /** Sets the special colours from one on. */
  #setSpecial(first: number, content: string): void {
    content.split(';', SPECIAL - first).forEach((spec, at) => this.#paint(COLOURS + first + at, parseColour(spec)))
  }

  /** Resets some colours of the palette, or all. */
  #resetColours(content: string): void {
    if (content !== '') for (const slot of content.split(';', COLOURS)) this.#paint(indexOf(slot), RESET)
    else if (this.#colours)
      for (let index = 0; index < COLOURS; index += 1) if (this.#colours[index]) this.#paint(index, RESET)
  }

  #paint(index: number | undefined, colour: number | undefined): void {
    if (index === undefined || colour === undefined) return
    this.#colours ??= new Int32Array(COLOURS + SPECIAL)
    this.#colours[index] = colour
  }
}

/** Cuts a title, but not within a character of UTF-8. */
function shorten(title: string): string {
  if (title.length <= LONGEST_TITLE_BYTES) return title
  return title.slice(0, LONGEST_TITLE_BYTES).replace(/[\xc0-\xff][\x80-\xbf]*$/, '')
}

function indexOf(text: string | undefined): number | undefined {
  return /^\d+$/.test(String(text)) && Number(text) < COLOURS ? Number(text) : undefined
}

/** Returns a colour as xterm.js reads it, `undefined` if it does not. */
function parseColour(text: string | undefined): number | undefined {
  const lower = String(text).toLowerCase()
  const digits = /^#([0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{9}|[0-9a-f]{12})$/.exec(lower)?.[1]
  const parts = digits
    ? [0, 1, 2].map((part) => digits.slice((part * digits.length) / 3, ((part + 1) * digits.length) / 3))
    : /^rgb:([0-9a-f]{1,4})\/([0-9a-f]{1,4})\/([0-9a-f]{1,4})$/.exec(lower)?.slice(1)
  const [length = 0] = parts?.map((part) => part.length) ?? []
  if (!parts?.every((part) => part.length === length)) return undefined
  // One digit after a number sign is the first of two. Otherwise the largest number is the brightest.
  const most = 16 ** length - 1
  const bytes = parts.map((part) => {
    const value = Number.parseInt(part, 16)
    return digits ? Math.floor((value * 256) / (most + 1)) : Math.round((value / most) * 255)
  })
  return bytes.reduce((colour, byte) => colour * 256 + byte, 1)
}

function spell(colour: number): string {
  return `#${(colour - SET).toString(16).padStart(6, '0')}`
}
