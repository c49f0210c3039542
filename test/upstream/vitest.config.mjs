import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// Set by run.mjs, which starts the servers.
const subjects = JSON.parse(process.env.UPSTREAMS)

export default defineConfig({
  test: {
    // A project for each server: they are tested beside each other.
    projects: subjects.map((subject, index) => ({
      test: {
        // In the order of their names, so the slowest, which is the oldest, is one of the first.
        name: `${index + 1}: ${subject.name}`,
        root: fileURLToPath(new URL('../..', import.meta.url)),
        include: ['test/upstream/open-terminal.test.ts'],
        testTimeout: 60_000,
        hookTimeout: 60_000,
        env: {
          // The oldest release is silent when the shell ends, the newest announces it. The command must handle both.
          UPSTREAM: JSON.stringify({ subject, testsCommand: [subjects[0], subjects.at(-1)].includes(subject) }),
        },
      },
    })),
    // Most of the time, the tests wait for the servers.
    maxWorkers: 4,
  },
})
