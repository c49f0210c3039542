// The parameters that are off again, and whose bit they end. A bit has the number of the parameter that sets it.
const ATTRIBUTES = [1, 2, 3, 5, 7, 8, 9] as const
const OVERLINE = 10
// Not of SGR: what DECSEL does not erase.
const PROTECTED = 11

// Of a parameter that is left out between colons.
const ABSENT = -1
const DEFAULT_COLOUR = -1
// Colours: from 0 the first 16, which many terminals make bright in bold; from here all 256; from here red, green and
// blue.
const INDEXED = 0x100
const TRUE_COLOUR = 0x1000000

// A control character within a sequence is no part of it.
const SPACE = 0x20
const DEL = 0x7f

// Twice what xterm.js takes. No program sends more.
const MOST_PARAMETERS = 64
// The parameters that are being read, and whether a colon is before them. To make arrays would take most of the time.
const values = new Int32Array(MOST_PARAMETERS)
const isPart = new Uint8Array(MOST_PARAMETERS)

// The parts of the colour that is being read: what has it, its kind, the colour space, and the number or red, green and
// blue.
const KIND = 1
const FIRST = 3
const GREEN = 4
const BLUE = 5
const parts = new Int32Array(BLUE + 1)
const BY_RGB = 2
const BY_NUMBER = 5

/** What the next character looks like: its colours and attributes (SGR, DECSCA). */
export class Pen {
  #attributes = 0
  // 0 for none, or one of the five styles.
  #underline = 0
  #text = DEFAULT_COLOUR
  #background = DEFAULT_COLOUR
  #underlineColour = DEFAULT_COLOUR

  /** Becomes the same as another one. */
  copy(other: Pen): void {
    this.#attributes = other.#attributes
    this.#underline = other.#underline
    this.#text = other.#text
    this.#background = other.#background
    this.#underlineColour = other.#underlineColour
  }

  reset(): void {
    this.#attributes = this.#underline = 0
    this.#text = this.#background = this.#underlineColour = DEFAULT_COLOUR
  }

  get isDefault(): boolean {
    const colours = this.#text + this.#background + this.#underlineColour
    return this.#attributes === 0 && this.#underline === 0 && colours === 3 * DEFAULT_COLOUR
  }

  /** Sets whether the next characters are protected (DECSCA). */
  protect(isOn: boolean): void {
    this.#set(PROTECTED, isOn)
  }

  /** Returns the sequences that make a pen that has been reset this one, `''` if it is the same. */
  get sequence(): string {
    const parameters = [
      ...ATTRIBUTES.filter((attribute) => this.#attributes & (1 << attribute)),
      this.#attributes & (1 << OVERLINE) ? 53 : '',
      this.#underline > 1 ? `4:${this.#underline}` : this.#underline === 1 ? 4 : '',
      colourOf(this.#text, 38),
      colourOf(this.#background, 48),
      colourOf(this.#underlineColour, 58),
    ]
    const sgr = parameters.filter((parameter) => parameter !== '').join(';')
    return (sgr === '' ? '' : `\x1b[${sgr}m`) + (this.#attributes & (1 << PROTECTED) ? '\x1b[1"q' : '')
  }

  /** Takes the body of an SGR sequence as xterm.js does. Most of what programs send are these: makes no object. */
  apply(body: Buffer, from: number, to: number): void {
    const count = read(body, from, to)
    for (let at = 0; at < count; at += 1) {
      if (isPart[at] === 1) continue
      const value = Number(values[at])
      if (value === 38 || value === 48 || value === 58) at += this.#applyColour(value, at, count)
      else if (value < 30) this.#applyAttribute(value, hasParts(at, count) ? Number(values[at + 1]) : 1)
      else if (value <= 37) this.#text = value - 30
      else if (value === 39) this.#text = DEFAULT_COLOUR
      else if (value <= 47) this.#background = value - 40
      else if (value === 49) this.#background = DEFAULT_COLOUR
      else if (value === 53 || value === 55) this.#set(OVERLINE, value === 53)
      else if (value === 59) this.#underlineColour = DEFAULT_COLOUR
      else if (value >= 90 && value <= 97) this.#text = value - 82
      else if (value >= 100 && value <= 107) this.#background = value - 92
    }
  }

  #applyAttribute(value: number, part: number): void {
    if (value === 0) this.reset()
    else if (value === 4) this.#underline = part === ABSENT || part > 5 ? 1 : part
    else if (value === 21) this.#underline = 2
    else if (value === 24) this.#underline = 0
    else if (value === 6) return
    else if (value < 10) this.#set(value, true)
    else if (value > 21) this.#set(value - 20, false)
    if (value === 22) this.#set(1, false)
  }

  /** Takes a colour whose first parameter is at an index. Returns how many more belong to it. */
  #applyColour(target: number, at: number, count: number): number {
    const length = readColour(at, count)
    const kind = parts[KIND]
    if (kind !== BY_NUMBER && kind !== BY_RGB) return length
    const first = Number(parts[FIRST]) & 0xff
    const rgb = (first << 16) | ((Number(parts[GREEN]) & 0xff) << 8) | (Number(parts[BLUE]) & 0xff)
    const colour = kind === BY_RGB ? TRUE_COLOUR + rgb : INDEXED + first
    if (target === 38) this.#text = colour
    else if (target === 48) this.#background = colour
    else this.#underlineColour = colour
    return length
  }

  #set(bit: number, isOn: boolean): void {
    if (isOn) this.#attributes |= 1 << bit
    else this.#attributes &= ~(1 << bit)
  }
}

/** Reads parameters. Returns how many there are, their parts included. */
function read(body: Buffer, from: number, to: number): number {
  let count = 0
  let value = 0
  let isNextPart = 0
  for (let at = from; at < to && count < MOST_PARAMETERS; at += 1) {
    const byte = Number(body[at])
    if (byte < SPACE || byte === DEL) continue
    else if (byte >= 0x30 && byte <= 0x39) value = Math.min(0x7ffffff, Math.max(0, value) * 10 + byte - 0x30)
    else {
      values[count] = value
      isPart[count] = isNextPart
      count += 1
      isNextPart = byte === 0x3a ? 1 : 0
      value = isNextPart === 1 ? ABSENT : 0
    }
  }
  return count
}

/** Reads the parts of a colour whose first parameter is at an index. Returns how many parameters more these are. */
function readColour(at: number, count: number): number {
  parts.fill(0)
  // Between semicolons, no colour space follows the kind.
  let skipped = 0
  let index = at
  do {
    const place = index - at + skipped
    parts[place] = Number(values[index])
    if (hasParts(index, count)) {
      for (let part = index + 1; part < count && isPart[part] === 1; part += 1) {
        if (parts[KIND] === BY_NUMBER) skipped = 1
        parts[part - at + skipped] = Math.max(0, Number(values[part]))
      }
      break
    }
    if (parts[KIND] === BY_NUMBER && place === FIRST) break
    if (parts[KIND] === BY_RGB && place === BLUE) break
    if (parts[KIND] !== 0) skipped = 1
    index += 1
  } while (index < count && index - at + skipped <= BLUE)
  return index - at
}

function hasParts(at: number, count: number): boolean {
  return at + 1 < count && isPart[at + 1] === 1
}

/** Returns the parameters of a colour of the text (38), the background (48) or the underline (58). */
function colourOf(colour: number, target: number): string {
  if (colour === DEFAULT_COLOUR) return ''
  if (colour < 16) return String(target - 8 + colour + (colour > 7 ? 52 : 0))
  // Terminals that do not know of coloured underlines would take numbers between semicolons for attributes.
  const separator = target === 58 ? ':' : ';'
  if (colour < TRUE_COLOUR) return [target, 5, colour - INDEXED].join(separator)
  const rgb = [(colour >> 16) & 0xff, (colour >> 8) & 0xff, colour & 0xff]
  return [target, 2, ...(target === 58 ? [''] : []), ...rgb].join(separator)
}
