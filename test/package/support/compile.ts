import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from './install.ts'

const compiler = join(repository, 'node_modules', 'typescript', 'bin', 'tsc')

/** The options of a TypeScript project that differ between the tests. */
export interface Project {
  /**
   * With `bundler`, TypeScript does not resolve `require`; with `preserve`, it does. With `node10`, as before 4.7, it
   * reads `typesVersions` instead of `exports`.
   */
  module: 'nodenext' | 'node16' | 'bundler' | 'preserve' | 'node10'
  lib: string[]
  types: string[]
  files: string[]
  /** `verbatimModuleSyntax`. It allows only `import … = require(…)` in CommonJS. */
  verbatim?: boolean
}

let projects = 0

/** Type-checks files of the folder with strict options; resolves with the errors of the compiler. */
export function compile(folder: string, { module, lib, types, files, verbatim = false }: Project): Promise<string> {
  const compilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    isolatedModules: true,
    verbatimModuleSyntax: verbatim,
    skipLibCheck: false,
    allowJs: true,
    checkJs: true,
    moduleDetection: 'force',
    target: 'es2022',
    lib,
    types,
    module: { bundler: 'esnext', node10: 'commonjs', nodenext: module, node16: module, preserve: module }[module],
    moduleResolution: module === 'preserve' ? 'bundler' : module,
    // TypeScript 6 has deprecated node10.
    ignoreDeprecations: '6.0',
  }
  const project = join(folder, `tsconfig.${(projects += 1)}.json`)
  writeFileSync(project, JSON.stringify({ compilerOptions, files }))
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [compiler, '--project', project], { cwd: folder }, (error, stdout, stderr) => {
      if (error && stdout === '') reject(new Error(`tsc failed: ${stderr}`, { cause: error }))
      else resolve(stdout)
    })
  })
}
