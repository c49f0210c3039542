import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import { connectTerminal } from '../../../src/index.ts'
import {
  startTestUpstream,
  type TestFault,
  type TestFaults,
  type TestOperation,
  type TestOwner,
  type TestInner,
  type TestRelease,
  type TestRequest,
  type TestSession,
  type TestShell,
  type TestShellIo,
  type TestShellProcess,
  type TestUpstream,
  type TestUpstreamOptions,
} from '../../../src/testing.ts'

const releases = {
  'terminals@0.0.2': true,
  'terminals@0.0.3': true,
  'terminals@0.2.2': true,
  'open-terminal@0.8.1': true,
  'open-terminal@0.11': true,
  'open-terminal@0.14': true,
  'open-terminal@0.14.2': true,
  'open-terminal@0.14.5': true,
} satisfies Record<TestRelease, true>

const answer = ({ output, exit }: TestShellIo): TestShellProcess => ({
  input: (data) => void output(data),
  resize: (cols, rows) => void output(`${cols}x${rows}`),
  kill: exit,
})

const fault: TestFault = { refuse: 503, body: 'busy' }
const operations: TestOperation[] = ['create', 'list', 'get', 'delete', 'attach']
const faults: TestFaults = { create: fault, attach: [{ delay: 1 }, undefined, 'drop', 'reset', 'stall'] }

export const options: TestUpstreamOptions[] = [
  {},
  { key: 'sk-1', shell: 'sh', faults },
  { shell: answer satisfies TestShell, faults: Object.fromEntries(operations.map((operation) => [operation, fault])) },
  // @ts-expect-error -- no such release
  { release: 'terminals@0.0.1' },
  // @ts-expect-error -- no such shell
  { shell: 'bash' },
]

export async function use(): Promise<string[]> {
  const inner: TestInner = 'open-terminal@0.11'
  await using upstream: TestUpstream = await startTestUpstream({ inner, idleTimeout: 60_000 })
  const terminal = await connectTerminal({ base: upstream.url, userId: 'ada' })
  process.stdin.on('data', (chunk) => void terminal.write(chunk))
  Readable.from(terminal).pipe(process.stdout)
  void ReadableStream.from(terminal).cancel()
  const session: (TestSession & TestOwner) | undefined = upstream.sessions[0]
  session?.close(4003, 'not reachable')
  const request: TestRequest | undefined = upstream.requests[0]
  return [...Object.keys(releases), request?.method ?? '', request?.query['token'] ?? '']
}
