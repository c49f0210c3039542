// What `npm publish` runs first: where the package lives is its owner's to say.
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
const missing = ['repository', 'homepage', 'bugs'].filter((field) => manifest[field] === undefined)
if (missing.length > 0) {
  console.error(`Set ${missing.join(', ')} in package.json before you publish: npm shows them on the package's page.`)
  process.exitCode = 1
}
