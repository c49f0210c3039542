export { UpstreamAddon } from './xterm/addon.ts'
export type { UpstreamAddonOptions, XtermElement, XtermLike } from './xterm/addon.ts'
