import { defineConfig } from 'tsup'

const entryPoints = ['index', 'command', 'gateway', 'probe', 'proxy', 'testing', 'xterm']
const entries = Object.fromEntries(entryPoints.map((name) => [name, `src/${name}.ts`]))

const library = defineConfig({
  // The last five are not public. websocket.ts isolates isomorphic-ws, whose import bundlers never drop. `#http` and
  // `#advice` in package.json choose one of two files by condition.
  entry: {
    ...entries,
    websocket: 'src/terminal/socket-class.ts',
    'http-node': 'src/upstream/http-node.ts',
    'http-fetch': 'src/upstream/http-fetch.ts',
    'advice-for-servers': 'src/upstream/advice-for-servers.ts',
    'advice-for-browsers': 'src/upstream/advice-for-browsers.ts',
  },
  external: ['#http', '#advice'],
  format: ['esm', 'cjs'],
  target: 'es2022',
  // The root entry and everything that it imports run in browsers: tsup must not add code for Node.
  platform: 'neutral',
  esbuildOptions(options, { format }) {
    // CommonJS has no `import.meta`.
    if (format === 'cjs') options.define = { ...options.define, 'import.meta.url': '__filename' }
  },
  // All entries of a format share one TerminalError, also in CommonJS. Source maps are left out: the code is not minified.
  splitting: true,
  dts: {
    entry: entries,
    // Declares AsyncDisposable, which is neither in ES2022 nor in the DOM.
    banner: '/// <reference lib="esnext.disposable" />',
    // tsup sets `baseUrl`, which TypeScript 6 has deprecated (egoist/tsup#1388).
    compilerOptions: { ignoreDeprecations: '6.0' },
  },
})

// The command is one file, for Node only. No code imports it.
const command = defineConfig({
  entry: ['src/cli.ts'],
  format: 'esm',
  target: 'node20',
  splitting: false,
  esbuildOptions(options) {
    options.alias = { '#http': './src/upstream/http-node.ts', '#advice': './src/upstream/advice-for-servers.ts' }
  },
})

export default [library, command].flat()
