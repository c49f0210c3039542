import { defineConfig } from 'tsup'

const doors = ['index', 'probe', 'proxy', 'testing', 'xterm']
const entries = Object.fromEntries(doors.map((name) => [name, `src/${name}.ts`]))

const library = defineConfig({
  // The last three are not public. websocket.ts isolates isomorphic-ws, whose import bundlers never drop. package.json
  // chooses one of the two transports as `#http`.
  entry: {
    ...entries,
    websocket: 'src/terminal/websocket.ts',
    'http-node': 'src/upstream/http-node.ts',
    'http-fetch': 'src/upstream/http-fetch.ts',
  },
  external: ['#http'],
  format: ['esm', 'cjs'],
  target: 'es2022',
  // The root entry must run in browsers, and everything in it: tsup must not add anything of Node's.
  platform: 'neutral',
  // One TerminalError for all entries of a format, also in CommonJS. The code is not minified, so it needs no source maps.
  splitting: true,
  dts: {
    entry: entries,
    // AsyncDisposable, which neither ES2022 nor the DOM has.
    banner: '/// <reference lib="esnext.disposable" />',
    // tsup sets a baseUrl of its own, which TypeScript 6 has deprecated (egoist/tsup#1388).
    compilerOptions: { ignoreDeprecations: '6.0' },
  },
})

// One file, and for Node only: nobody imports it.
const command = defineConfig({
  entry: ['src/cli.ts'],
  format: 'esm',
  target: 'node20',
  splitting: false,
  esbuildOptions(options) {
    options.alias = { '#http': './src/upstream/http-node.ts' }
  },
})

export default [library, command].flat()
