// `npm publish` runs this first. The owner of the package sets these fields before the first release.
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const missing = ['repository', 'homepage', 'bugs'].filter((field) => manifest[field] === undefined)
if (missing.length > 0) {
  console.error(`Set ${missing.join(', ')} in package.json before you publish: npm shows them on the package's page.`)
  process.exitCode = 1
}
