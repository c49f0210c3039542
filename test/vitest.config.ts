import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: fileURLToPath(new URL('..', import.meta.url)),
    // In the package, a condition of package.json chooses these.
    alias: {
      '#http': fileURLToPath(new URL('../src/upstream/http-node.ts', import.meta.url)),
      '#advice': fileURLToPath(new URL('../src/upstream/advice-for-servers.ts', import.meta.url)),
    },
    // At most the shortest time limit of the library, 10 s: a test that runs into that limit fails.
    testTimeout: 10_000,
    // What gateways warn of is what the tests are about.
    execArgv: ['--disable-warning=TerminalGatewayWarning'],
    expect: { poll: { timeout: 4_000 } },
    coverage: { include: ['src/**/*.ts'], thresholds: { lines: 99.8, branches: 99.3 } },
  },
})
