import { nameOf, type Sequence } from './sequence.ts'
import { SequenceParser } from './sequences.ts'

const ERASE_LINE = nameOf('K')
const ERASE_SCREEN = nameOf('J')
const RESET = nameOf('c')
const WHOLE_SCREEN = 2
// Stands for a sequence that erases the rest of a line. Programs do not print it.
const ERASED = '\0'
const ERASED_BYTES = Buffer.from(ERASED)

// To read more takes more than 10 ms. No window shows as much.
const MOST_BYTES = 64 * 1024
const LINE_FEED = 0x0a

const TAB_COLUMNS = 8

/**
 * Returns the last lines of output as text, without sequences and control characters. Carriage return, backspace, tab
 * and what erases a line or the screen have their effect, and nothing else that moves the cursor. `parser` has read the
 * output before.
 */
export function plainText(output: Buffer, rows: number, parser?: SequenceParser): string {
  let pieces: Buffer[] = []
  const from = Math.max(0, output.length - MOST_BYTES)
  // What is cut may begin within a sequence, and this at a line.
  const first = from > 0 ? Math.max(from, output.indexOf(LINE_FEED, from) + 1) : 0
  const reader = (first > 0 ? undefined : parser) ?? new SequenceParser()
  reader.feed(output.subarray(first), {
    onText: (data, start, end) => void pieces.push(data.subarray(start, end)),
    onSequence(sequence) {
      if (isClear(sequence)) pieces = []
      else if (sequence.kind === 'csi' && sequence.name === ERASE_LINE && sequence.parameters[0] === 0) {
        pieces.push(ERASED_BYTES)
      }
    },
  })
  const lines = Buffer.concat(pieces).toString().split('\n')
  return lines.slice(-rows).map(textOf).join('\n')
}

function isClear({ kind, name, parameters }: Sequence): boolean {
  if (kind === 'escape') return name === RESET
  return kind === 'csi' && name === ERASE_SCREEN && Number(parameters[0]) >= WHOLE_SCREEN
}

function textOf(line: string): string {
  const cells: string[] = []
  let at = 0
  for (const character of line) {
    if (character === '\r') at = 0
    else if (character === '\b') at = Math.max(0, at - 1)
    else if (character === '\t') at += TAB_COLUMNS - (at % TAB_COLUMNS)
    else if (character === ERASED) cells.length = Math.min(cells.length, at)
    else if (!isControl(character)) {
      while (cells.length < at) cells.push(' ')
      cells[at] = character
      at += 1
    }
  }
  return cells.join('').trimEnd()
}

function isControl(character: string): boolean {
  return character < ' ' || (character >= '\x7f' && character <= '\x9f')
}
