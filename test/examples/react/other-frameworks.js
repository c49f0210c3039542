import { openShell } from './open-shell.js'

/** For Vue: `<div v-shell></div>`. */
export const vShell = {
  mounted(element) {
    element.endShell = openShell(element)
  },
  unmounted(element) {
    element.endShell()
  },
}

/** For Svelte: `<div use:shell></div>`; from Svelte 5.29 on, also `<div {@attach openShell}></div>`. */
export const shell = (element) => ({ destroy: openShell(element) })
