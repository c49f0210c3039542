import { bytesOf } from '../lib/globals.ts'

/** Begins each sequence that changes a mode. */
export const ESCAPE = 0x1b
const QUESTION_MARK = 0x3f

/** What a terminal sends before and after pasted text, while a program has bracketed paste switched on. */
const PASTE_START: Uint8Array = bytesOf('\u001b[200~')
export const PASTE_END: Uint8Array = bytesOf('\u001b[201~')

// Switches bracketed paste on or off, but for its last letter.
const MODE = bytesOf('\u001b[?2004')
const ON = 0x68
const OFF = 0x6c

/**
 * Bracketed paste: whether programs want it, and which part of the input is one.
 *
 * @see https://invisible-island.net/xterm/ctlseqs/ctlseqs.html "Bracketed Paste Mode"
 */
export class BracketedPaste {
  /** Whether a program has bracketed paste mode on (DECSET 2004), by the output so far. */
  isWanted = false
  /** Whether the input that was sent has begun a paste that a program wanted, and not ended it. */
  isOpen = false
  // The end of the last output, from an escape on, if the rest of a sequence may follow.
  #cut: Uint8Array | undefined
  // How many bytes of the marker that is expected next were sent last.
  #matched = 0

  /** Reads output. Returns whether it has switched the mode on that was off. */
  onOutput(data: Uint8Array): boolean {
    let isNew = false
    let end = data
    if (this.#cut) {
      end = new Uint8Array(this.#cut.length + Math.min(data.length, MODE.length))
      end.set(this.#cut)
      end.set(data.subarray(0, MODE.length), this.#cut.length)
      isNew = this.#readModes(end)
    }
    isNew = this.#readModes(data) || isNew
    const last = data.length < MODE.length ? end : data
    const from = last.indexOf(ESCAPE, Math.max(0, last.length - MODE.length))
    // A copy: a part of the output would keep all that was read with it in memory.
    this.#cut = from < 0 ? undefined : new Uint8Array(last.subarray(from))
    return isNew
  }

  #readModes(data: Uint8Array): boolean {
    let isNew = false
    // A flood must not cost a look at every byte. Colours have escapes, too, but no question mark.
    for (let at = data.indexOf(QUESTION_MARK); at >= 0; at = data.indexOf(QUESTION_MARK, at + 1)) {
      const start = at - MODE.indexOf(QUESTION_MARK)
      const word = data[start + MODE.length]
      if (!startsWith(data, MODE, start)) continue
      if (word === ON) {
        isNew ||= !this.isWanted
        this.isWanted = true
      } else if (word === OFF) {
        this.isWanted = this.isOpen = false
        this.#matched = 0
      }
    }
    return isNew
  }

  /** Notes bytes that were sent. */
  onInput(data: Uint8Array): void {
    for (const byte of data) {
      const marker = this.isOpen ? PASTE_END : PASTE_START
      this.#matched = nextMatch(marker, this.#matched, byte)
      if (this.#matched < marker.length) continue
      this.#matched = 0
      this.isOpen = !this.isOpen && this.isWanted
    }
  }

  /**
   * Returns how many bytes from `start` on, `most` at most, are all part of a paste, or all not, and which. A paste
   * that no program wants is none.
   */
  partOf(data: Uint8Array, start: number, most: number): { readonly isPaste: boolean; readonly length: number } {
    const end = Math.min(data.length, start + most)
    const isPaste = this.isWanted && (this.isOpen || startsWith(data, PASTE_START, start))
    if (!isPaste) return { isPaste, length: indexOf(data, PASTE_START, start + 1, end) - start }
    let matched = this.isOpen ? this.#matched : 0
    for (let at = start; at < end; at += 1) {
      matched = nextMatch(PASTE_END, matched, Number(data[at]))
      // The end belongs to the paste.
      if (matched === PASTE_END.length) return { isPaste, length: at + 1 - start }
    }
    return { isPaste, length: end - start }
  }
}

/** Returns how many bytes of a marker have come one after another, if so many had before this byte. */
function nextMatch(marker: Uint8Array, matched: number, byte: number): number {
  if (byte === marker[matched]) return matched + 1
  return byte === ESCAPE ? 1 : 0
}

function startsWith(data: Uint8Array, sequence: Uint8Array, at: number): boolean {
  for (let index = sequence.length - 1; index >= 0; index -= 1) if (data[at + index] !== sequence[index]) return false
  return true
}

/** Returns where a sequence begins between two places, or the last of the two. */
function indexOf(data: Uint8Array, sequence: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at += 1) if (data[at] === ESCAPE && startsWith(data, sequence, at)) return at
  return end
}
