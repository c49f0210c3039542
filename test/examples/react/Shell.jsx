import { useEffect, useRef } from 'react'
import { openShell } from './open-shell.js'

/** A shell. It ends when the component is unmounted, but not when the page is reloaded. */
export function Shell() {
  const element = useRef(null)
  useEffect(() => openShell(element.current), [])
  return <div ref={element} style={{ height: '100%' }} />
}
