// `npm run bench` compares proxyTerminal with the alternatives. It measures all of them in the same run, in turns. The
// ratios are more reliable than the figures.
//
//   npm run bench -- [--rounds 7] [--only bulk,echo-1]
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { goalTable, results, subjectTable } from './report.mjs'
import { only, rounds } from './settings.mjs'
import { subjects } from './subjects.mjs'

function versionOf(name) {
  const manifest = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return `${name} ${JSON.parse(readFileSync(manifest, 'utf8')).version}`
}

const isWanted = (subject) =>
  only.length === 0 || only.some((name) => subject === name || subject.startsWith(`${name}-`))
const chosen = Object.keys(subjects).filter(isWanted)
if (chosen.length === 0) throw new RangeError(`--only must name some of ${Object.keys(subjects).join(', ')}`)

const versions = ['ws', 'httpxy', 'http-proxy-3'].map(versionOf).join(', ')
console.log(`${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${versions}`)
console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, medians of ${rounds} rounds\n`)

// The measurements that have begun, because one of them begins early.
const begun = {}
const begin = (subject) => (begun[subject] ??= subjects[subject].run())

for (const subject of chosen) {
  const rows = begin(subject)
  // Sleeping clients need a minute and hardly any CPU.
  if (subject === 'idle' && chosen.includes('sleeping')) void begin('sleeping')
  results[subject] = await rows
  console.log(subjectTable(subjects[subject], subject))
}
console.log('\\* only pipe bytes: they cannot authenticate, answer pings, or share a turn fairly between sessions\n')
console.log(goalTable())
