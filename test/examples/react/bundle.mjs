import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const folder = fileURLToPath(new URL('.', import.meta.url))

/** Builds the page. Resolves with its files by their paths. */
export async function bundle() {
  const { outputFiles } = await build({
    entryPoints: [`${folder}page.jsx`, `${folder}other-frameworks.js`],
    bundle: true,
    format: 'esm',
    jsx: 'automatic',
    // The React of developers, whose StrictMode mounts every component twice.
    define: { 'process.env.NODE_ENV': '"development"' },
    outdir: folder,
    write: false,
    logLevel: 'error',
  })
  const index = await readFile(`${folder}index.html`)
  return new Map([
    ['/', { type: 'text/html', content: index }],
    ...outputFiles.map(({ path, contents }) => {
      const type = path.endsWith('.css') ? 'text/css' : 'text/javascript'
      return [`/${path.slice(folder.length)}`, { type, content: contents }]
    }),
  ])
}
