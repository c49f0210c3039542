import type { TestSession, TestShell, TestUpstream, TestUpstreamOptions } from '../../src/testing.ts'
import { run, start, type FakeHost, type HostOptions } from './host.ts'
import { upstreamOf } from './upstream.ts'

export const user = ['--user', 'ada']
export const NEWEST = 'open-terminal@0.14.5'

/** Prints a prompt, echoes its input, and ends at a Q. */
export const prompting: TestShell = ({ output, exit }) => {
  void output('$ ')
  return {
    input(data) {
      void output(data)
      if (data.includes(81)) exit()
    },
  }
}

export interface Piped {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
  readonly upstream: TestUpstream
}

/** Runs `attach` with `piped` as its standard input, and waits for its end. */
export async function pipe(piped: string, server: TestUpstreamOptions = {}, flags: string[] = []): Promise<Piped> {
  const upstream = await upstreamOf({ shell: 'sh', release: NEWEST, ...server })
  return { ...(await run(['attach', upstream.url, ...user, ...flags], { piped })), upstream }
}

export interface Seated {
  readonly host: FakeHost
  readonly status: Promise<number>
  readonly upstream: TestUpstream
  readonly session: TestSession
}

/** Runs `attach` in a terminal, and waits for the prompt. */
export async function sit(server: TestUpstreamOptions = {}, options: HostOptions = {}): Promise<Seated> {
  const upstream = await upstreamOf({ shell: prompting, release: NEWEST, ...server })
  const started = start(['attach', upstream.url, ...user], { tty: true, ...options })
  await started.host.stdout.shows('$ ')
  const [session] = upstream.sessions
  if (!session) throw new Error('the upstream should have a session')
  return { ...started, upstream, session }
}
