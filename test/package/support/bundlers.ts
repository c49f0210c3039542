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

// Vitest sets `test`. With that, vite makes no production build and hides warnings.
vi.stubEnv('NODE_ENV', 'production')

// @rollup/plugin-commonjs declares the types of its CommonJS file for ESM, too.
const commonjs = commonjsPlugin as unknown as typeof commonjsPlugin.default

export interface Bundle {
  code: string
  /** The extension with which Node runs the code. */
  format: 'mjs' | 'cjs'
  /** The modules in the bundle: their paths, or names that the bundler made up. */
  modules: string[]
  /** The warnings of the bundler; errors are thrown. */
  warnings: string[]
}

/** Makes one file of a program, for production, with the default options. */
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
    // Rollup does not minify.
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
      // Vite does not minify a build for servers by default.
      build: { write: false, minify: true, ssr: target === 'node', rolldownOptions: { input: entry } },
      // By default, a build for servers loads packages at run time.
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
      // A module that webpack made of several lists them.
      modules: modules.flatMap((module) => module.modules ?? [module]).flatMap(({ name }) => name ?? []),
      warnings: warnings.map(({ message }) => message),
    }
  },
}

interface Output {
  type: string
  modules?: Record<string, { renderedLength: number }>
}

/** Returns the modules that have code in the output. */
function renderedModules(output: readonly Output[]): string[] {
  const modules = output.flatMap((file) => Object.entries(file.modules ?? {}))
  return modules.flatMap(([id, { renderedLength }]) => (renderedLength > 0 ? [id] : []))
}
