import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { expect, test } from 'vitest'
import { readDeclarations } from './support/declarations.ts'
import { installPackage, repository } from './support/install.ts'

const folder = installPackage('@types/node', 'undici-types')
const installed = join(folder, 'node_modules', 'terminal-upstream')
const manifest = readFileSync(join(installed, 'package.json'), 'utf8')
const entries = readDeclarations(installed)

const INTERFACE = join(repository, 'test', 'package', 'interface.md')

/** Returns the files of the package. The build names those that are no entry point after their content. */
function packedFiles(): string[] {
  const paths = readdirSync(installed, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(installed.length + 1))
  const isNamed = (path: string): boolean => !path.startsWith('dist/') || manifest.includes(`"./${path}"`)
  const stable = paths.map((path) => (isNamed(path) ? path : path.replace(/\w+-[\w-]{8}(?=\.)/, '*')))
  return [...new Set(stable)].sort()
}

test('the package and its declarations are those of interface.md', async () => {
  const sections = entries.map(({ module, code }) => `## \`${module}\`\n\n\`\`\`ts\n${code}\n\`\`\``)
  const text = `# The interface

What the package holds, and what its declarations say, without comments: \`npm run interface\` writes this file. A change
here is a change for everyone who uses the package.

## Files

\`\`\`text
${packedFiles().join('\n')}
\`\`\`

${sections.join('\n\n')}`
  const options = await resolveConfig(INTERFACE, { editorconfig: false })
  await expect(
    await format(text, { ...options, parser: 'markdown' }),
    'The interface has changed. If that is meant, `npm run interface` writes test/package/interface.md anew',
  ).toMatchFileSnapshot(INTERFACE)
})

test.each(entries)('every type that $module names is exported', ({ code }) => {
  expect(code.match(/^(?:declare class|interface|type) \w+/gm) ?? []).toEqual([])
})
