/** The part of `window`, or of another global object, that tells of a wake. Absent in Node. */
interface Target {
  addEventListener?(type: string, listener: () => void): void
  removeEventListener?(type: string, listener: () => void): void
}

/**
 * Calls `onWake` when a page may reach its server again: its network is back, or people look at it again. Does nothing where
 * there is no page. Returns a function that removes the listeners.
 */
export function watchWakes(onWake: () => void): () => void {
  const page: (Target & { readonly visibilityState?: string }) | undefined = globalThis.document
  const onVisibility = (): void => {
    if (page?.visibilityState === 'visible') onWake()
  }
  const watched: ReadonlyArray<[Target | undefined, string, () => void]> = [
    [globalThis, 'online', onWake],
    [globalThis, 'pageshow', onWake],
    [page, 'visibilitychange', onVisibility],
  ]
  for (const [target, type, listener] of watched) target?.addEventListener?.(type, listener)
  return () => {
    for (const [target, type, listener] of watched) target?.removeEventListener?.(type, listener)
  }
}
