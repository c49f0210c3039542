export { startTestUpstream } from './testing/start.ts'
export type { TestUpstream } from './testing/start.ts'

export type { TestFault, TestFaults, TestOperation } from './testing/faults.ts'
export type { TestInner, TestRelease } from './testing/releases.ts'
export type { TestRequest } from './testing/requests.ts'
export type { TestUpstreamOptions } from './testing/server.ts'
export type { TestOwner, TestSession } from './testing/session.ts'
export type { TestShell, TestShellIo, TestShellProcess } from './testing/shells.ts'
