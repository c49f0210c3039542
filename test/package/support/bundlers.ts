import { mkdtempSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import commonjsPlugin from '@rollup/plugin-commonjs'
import { nodeResolve } from '@rollup/plugin-node-resolve'
import * as esbuild from 'esbuild'
import { rollup } from 'rollup'
import * as vite from 'vite'
import { vi } from 'vitest'
import webpack from 'webpack'

// Vitest says test, and then vite makes no production build and keeps warnings to itself.
vi.stubEnv('NODE_ENV', 'production')

// It has the types of its CommonJS file for both.
const commonjs = commonjsPlugin as unknown as typeof commonjsPlugin.default

export interface Bundle {
  code: string
  /** The extension under which Node runs it. */
  format: 'mjs' | 'cjs'
  /** The paths of the modules that it holds, more or less: bundlers also have names of their own. */
  modules: string[]
  /** What the bundler complained about; what it cannot do it throws. */
  warnings: string[]
}

/** Makes one file of a program, for production, with nothing but the defaults. */
export type Bundler = (entry: string, target: 'browser' | 'node') => Promise<Bundle>

export const bundlers: Record<string, Bundler> = {
  async esbuild(entry, target) {
    const { outputFiles, metafile, warnings } = await esbuild.build({
      entryPoints: [entry],
      bundle: true,
      platform: target,
      minify: true,
      metafile: true,
      write: false,
    })
    const modules = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs))
    const code = outputFiles.map(({ text }) => text).join('')
    return { code, format: 'cjs', modules, warnings: warnings.map(({ text }) => text) }
  },

  async rollup(entry, target) {
    const warnings: string[] = []
    const browser = target === 'browser'
    const bundle = await rollup({
      input: entry,
      plugins: [nodeResolve({ browser, preferBuiltins: !browser }), commonjs()],
      external: (id) => !browser && isBuiltin(id),
      onwarn: ({ message }) => void warnings.push(message),
    })
    const { output } = await bundle.generate({ format: 'es' })
    await bundle.close()
    // Rollup leaves this to others.
    const { code } = await esbuild.transform(output[0].code, { minify: true })
    return { code, format: 'mjs', modules: renderedModules(output), warnings }
  },

  async vite(entry, target) {
    const warnings: string[] = []
    const warn = (message: string): void => void warnings.push(message)
    const customLogger = { ...vite.createLogger('silent'), warn, warnOnce: warn }
    const built = await vite.build({
      root: dirname(entry),
      configFile: false,
      logLevel: 'warn',
      customLogger,
      // Without minify, a build for servers is left as it is.
      build: { write: false, minify: true, ssr: target === 'node', rolldownOptions: { input: entry } },
      // Without this, a build for servers leaves packages to be found at run time.
      ssr: { noExternal: true },
    })
    const output = [built].flat().flatMap((result) => ('output' in result ? result.output : []))
    const code = output.map((file) => (file.type === 'chunk' ? file.code : '')).join('')
    return { code, format: 'mjs', modules: renderedModules(output), warnings }
  },

  async webpack(entry, target) {
    const folder = dirname(entry)
    const path = mkdtempSync(join(folder, 'webpack-'))
    const compiler = webpack({
      context: folder,
      mode: 'production',
      entry,
      target: target === 'browser' ? 'web' : 'node',
      output: { path },
    })
    const stats = await new Promise<webpack.Stats>((resolve, reject) => {
      compiler.run((error, result) => (result ? resolve(result) : reject(error ?? new Error('webpack has no result'))))
    })
    await new Promise((resolve) => compiler.close(resolve))
    if (stats.hasErrors()) throw new Error(stats.toString('errors-only'))
    const { modules = [], warnings = [] } = stats.toJson({
      all: false,
      modules: true,
      nestedModules: true,
      modulesSpace: Infinity,
      nestedModulesSpace: Infinity,
      warnings: true,
    })
    return {
      code: readFileSync(join(path, 'main.js'), 'utf8'),
      format: 'cjs',
      // Where it has made one module of several, they are listed inside.
      modules: modules.flatMap((module) => module.modules ?? [module]).flatMap(({ name }) => name ?? []),
      warnings: warnings.map(({ message }) => message),
    }
  },
}

interface Output {
  type: string
  modules?: Record<string, { renderedLength: number }>
}

function renderedModules(output: readonly Output[]): string[] {
  const modules = output.flatMap((file) => Object.entries(file.modules ?? {}))
  return modules.flatMap(([id, { renderedLength }]) => (renderedLength > 0 ? [id] : []))
}
