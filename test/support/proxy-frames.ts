import fc from 'fast-check'

/** The mask bit of RFC 6455: a client's frames have it. */
export const CLIENT = 0x80
export const SERVER = 0

/** Returns a frame as that side has to send it. The mask of a client's frame is zero. */
export function frame(side: number, first: number, payload: readonly number[] = []): Buffer {
  return Buffer.from([first, side | payload.length, ...(side === CLIENT ? [0, 0, 0, 0] : []), ...payload])
}

/** Returns frames that RFC 6455 forbids, and the close code that it has for each. */
export function violations(side: number): Array<[name: string, bytes: Buffer, code: number]> {
  const long = (...length: number[]): Buffer => Buffer.from([0x82, side | 127, ...length])
  return [
    ['an unknown opcode', frame(side, 0x83), 1002],
    ['an unknown control opcode', frame(side, 0x8b), 1002],
    ['the bit of a compression that was not agreed on', frame(side, 0xc2, [1]), 1002],
    ['the other reserved bits', frame(side, 0xb2, [1]), 1002],
    ['a length of 2 ** 64 - 1', long(255, 255, 255, 255, 255, 255, 255, 255), 1009],
    ['a length of 2 ** 40', long(0, 0, 1, 0, 0, 0, 0, 0), 1009],
    ['the mask bit of the other side', frame(side ^ CLIENT, 0x82, [1]), 1002],
    ['a continuation without a message', frame(side, 0x80, [1]), 1002],
    ['a message within a message', Buffer.concat([frame(side, 0x02, [1]), frame(side, 0x82, [1])]), 1002],
    ['a ping of 126 bytes', Buffer.from([0x89, side | 126, 0, 126]), 1002],
    ['a ping in fragments', frame(side, 0x09), 1002],
    ['text that is not UTF-8', frame(side, 0x81, [0xff]), 1007],
    ['a close frame with half a code', frame(side, 0x88, [3]), 1002],
    ['a close frame with 999', frame(side, 0x88, [0x03, 0xe7]), 1002],
    ['a close frame with 1005', frame(side, 0x88, [0x03, 0xed]), 1002],
    ['a close frame with 1006', frame(side, 0x88, [0x03, 0xee]), 1002],
    ['a close frame with 1015', frame(side, 0x88, [0x03, 0xf7]), 1002],
    ['a close frame with a reason that is not UTF-8', frame(side, 0x88, [0x03, 0xe8, 0xff]), 1007],
  ]
}

/** Returns random bytes. Two thirds of the parts begin like a frame, which random bytes seldom do. */
export function randomBytes(side: number): fc.Arbitrary<Buffer> {
  const any = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  const opcodes = fc.constantFrom(0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a)
  const framed = fc
    .tuple(opcodes, fc.array(fc.nat(255), { maxLength: 125 }))
    .map(([first, payload]) => frame(side, first, payload))
  const parts = fc.array(fc.oneof(any, framed, framed), { minLength: 1, maxLength: 4 })
  return parts.map((list) => Buffer.concat(list))
}
