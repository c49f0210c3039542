export { UpstreamAddon } from './xterm/addon.ts'
export type { XtermLike } from './xterm/addon.ts'
