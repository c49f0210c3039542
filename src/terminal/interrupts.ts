// Ctrl-C, Ctrl-\ and Ctrl-Z: a tty that gets one throws away what the program has not read, and shows ^C, ^\ or ^Z.
const INTERRUPTS = [0x03, 0x1c, 0x1a]
const CARET = 0x5e
// What is added to a control character after the caret.
const TO_LETTER = 0x40

/** Whether input is nothing but Ctrl-C, Ctrl-\ or Ctrl-Z, as it is when a person has typed it. */
export function isInterrupt(input: Uint8Array): boolean {
  return input.length > 0 && input.every((byte) => INTERRUPTS.includes(byte))
}

/** Whether output shows that a tty has read Ctrl-C, Ctrl-\ or Ctrl-Z. */
export function showsInterrupt(output: Uint8Array): boolean {
  for (let at = output.indexOf(CARET); at >= 0; at = output.indexOf(CARET, at + 1)) {
    if (INTERRUPTS.includes(Number(output[at + 1]) - TO_LETTER)) return true
  }
  return false
}
