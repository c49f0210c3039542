import fc from 'fast-check'
import { expect, it } from 'vitest'
import { TerminalModes } from '../../src/screen/modes.ts'
import { SequenceParser } from '../../src/screen/sequences.ts'
import { programs, RANDOM_TIMEOUT_MS, randomRuns, SETTINGS } from '../support/screen-programs.ts'
import { tailOf } from '../support/tails.ts'
import { Witness } from '../support/witness.ts'

it(
  'sets in a terminal that gets a tail what is set in one that has shown everything',
  async () => {
    const runs = fc.asyncProperty(
      programs(SETTINGS),
      fc.nat({ max: 400 }),
      fc.integer({ min: 1, max: 40 }),
      fc.double({ noNaN: true, min: 0, max: 1 }),
      fc.double({ noNaN: true, min: 0, max: 1 }),
      async (program, kept, piece, split, share) => {
        const bytes = Buffer.from(program)
        const cut = Math.floor(split * bytes.length)
        const [witness, client] = [new Witness(), new Witness()]
        await witness.show(bytes.subarray(0, cut))
        // A page that has stayed open has shown a part before.
        const tail = tailOf(bytes.subarray(0, cut), kept, piece)
        if (tail.includes('\x18\x1bc')) await client.show(bytes.subarray(0, share * Math.max(0, cut - kept)))
        client.typed = ''
        client.bells = 0
        await client.show(tail)
        expect([client.typed, client.bells]).toEqual(['', 0])
        await witness.show(bytes.subarray(cut))
        await client.show(bytes.subarray(cut))
        expect(client.settings).toEqual(witness.settings)
      },
    )
    await fc.assert(runs, randomRuns(300))
  },
  RANDOM_TIMEOUT_MS,
)

// What xterm.js does not have, does wrong, or what the random programs do not print.
it.each([
  ['a title and the name of an icon', '\x1b]0;a\x07\x1b]1;b\x07', '\x1b]2;a\x1b\\\x1b]1;b\x1b\\'],
  ['the first 1 024 bytes of a title', `\x1b]2;${'a'.repeat(1_023)}é\x07`, `\x1b]2;${'a'.repeat(1_023)}\x1b\\`],
  ['no address that is too long', `\x1b]8;;http://a\x07\x1b]8;;http://${'b'.repeat(3_000)}\x07`, ''],
  ['the default colours once some were set', '\x1b]11;#fff\x07\x1b]111\x07', '\x1b]111\x1b\\'],
  ['the default palette once it was set', '\x1b]4;1;#fff\x07\x1b]104\x07', '\x1b]104\x1b\\'],
  ['an underline in the default colour', '\x1b[4:3;58;5;1;59m', '\x1b[4:3m'],
  ['a plain underline for one of an unknown kind', '\x1b[4:9m', '\x1b[4m'],
  ['a coloured underline', '\x1b[4;58;2;1;2;3m', '\x1b[4;58:2::1:2:3m'],
  ['tab stops of the program `tabs`', `\r\x1b[3g${`    \x1bH`.repeat(2)}\r`, '\x1b[3g\x1b[5G\x1bH\x1b[9G\x1bH\r'],
  ['no tab stops in columns that are not known', '\r\x1b[3gabc\x1bH', ''],
  ['no more than 256 tab stops', Array.from({ length: 257 }, (_, at) => `\x1b[${at + 1}G\x1bH`).join(''), ''],
  ['a cursor that was saved in colour', '\x1b[31m\x1b7\x1b[m', '\x1b[31m\x1b7\x1b[m'],
  ['a charset that was saved', '\x1b)0\x0e\x1b7\x0f', '\x1b)0\x0e\x1b7\x1b)B\x0f\x1b)0'],
  ['a charset that was another one since', '\x1b(0\x1b7\x1b(B', '\x1b(0\x1b7\x1b(B'],
  ['a cursor that 1049 saved', '\x1b[1m\x1b[?1049h\x1b[m', '\x1b[1m\x1b7\x1b[m\x1b[?47h'],
  ['the cursor of the other screen', '\x1b[?47h\x1b[1m\x1b7\x1b[m\x1b[?47l', '\x1b[?47h\x1b[1m\x1b7\x1b[m\x1b[?47l'],
  ['the main region behind the alternate screen', '\x1b[2;9r\x1b[?1049h', '\x1b[2;9r\x1b[?1049h'],
  ['a string that was ended in the next part', '\x1b]2;a\u009c', '\x1b]2;a\x1b\\'],
])('begins a tail with %s', (_, program, restored) => {
  for (const piece of [1, 7, 10_000]) {
    const tail = tailOf(`${program}\n${'line\n'.repeat(100)}`, 300, piece).toString()
    expect(tail.slice(0, tail.indexOf('line'))).toBe(`\x18\x1bc\x1b[?25h${restored}`)
  }
})

it('begins a tail with the colours and attributes of each SGR sequence, alone and after others', async () => {
  for (let code = 0; code < 110; code += 1) {
    // xterm.js does it wrong.
    if (code === 59) continue
    for (const before of ['', '\x1b[1;2;3;4:3;5;7;8;9;31;42;53;58;5;1m']) {
      const [witness, client] = [new Witness(), new Witness()]
      await witness.show(`${before}\x1b[${code}m`)
      await client.show(tailOf(`${before}\x1b[${code}m\n${'line\n'.repeat(100)}`, 300))
      expect([code, client.settings]).toEqual([code, witness.settings])
    }
  }
})

it('takes colours as xterm.js does, however their parameters are separated', async () => {
  const parameter = fc.constantFrom('', '0', '1', '2', '5', '7', '38', '48', '58', '300')
  const separator = fc.constantFrom(';', ';', ':')
  const colour = fc.array(fc.tuple(separator, parameter), { minLength: 1, maxLength: 9 })
  const runs = fc.asyncProperty(fc.constantFrom('38', '48', '58'), colour, async (target, parameters) => {
    const program = `\x1b[1;${target}${parameters.flat().join('')};4m`
    const [witness, client] = [new Witness(), new Witness()]
    await witness.show(program)
    await client.show(tailOf(`${program}\n${'line\n'.repeat(100)}`, 300))
    expect(client.settings).toEqual(witness.settings)
  })
  const found = ['38;38:5:0;0', '38;5:7;1', '38;2:1:2:3;1', '38;2;1:2;3', '38;0;0;0;0;0;1', '48;1;1;1;1;1;7']
  const examples = found.map((text): [string, Array<[string, string]>] => [
    text.slice(0, 2),
    Array.from(text.slice(2).matchAll(/([;:])(\d*)/g), ([, ...pair]) => pair as [string, string]),
  ])
  await fc.assert(runs, { numRuns: 300, seed: 1, examples })
})

it('keeps a few kilobytes, whatever a program sets', () => {
  const numbers = Array.from({ length: 2_000 }, (_, number) => number)
  const outputs = [
    ...numbers.map((number) => `\x1b]4;${number};rgb:12/34/56\x07\x1b]${10 + (number % 3)};#123456\x07`),
    ...numbers.map(
      (number) => `\x1b]8;id=${number};http://${'a'.repeat(number)}\x07\x1b[?${number}h\x1b[>${number};1m`,
    ),
    ...numbers.map((number) => `\x1b[${number}G\x1bH\x1b[>1u\x1b[1;3;4:3;38;2;1;2;3m\x1b)0\x0e\x1b7`),
    `\x1b]0;${'a'.repeat(1_000_000)}\x07`,
    `\x1b]2;${'b'.repeat(1_000_000)}`,
  ]
  const [parser, modes] = [new SequenceParser(), new TerminalModes()]
  for (const output of outputs) parser.feed(Buffer.from(output), { onSequence: (sequence) => modes.apply(sequence) })
  const kept = modes.restore().length + parser.beginning.length
  expect(kept).toBeGreaterThan(1_000)
  expect(kept).toBeLessThan(10_000)
})
