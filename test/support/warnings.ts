import { afterwards, withoutCanary } from './upstream.ts'

/** A warning of the process, as `process.emitWarning` makes it. */
type Warned = Error & { readonly code?: string }

/** Records the warnings of gateways and proxies until the end of the test. None may show a key or a token. */
export function recordWarnings(): Warned[] {
  const warnings: Warned[] = []
  const listener = (warning: Warned): void => {
    if (/^Terminal(?:Gateway|Proxy)Warning$/.test(warning.name)) warnings.push(withoutCanary(warning))
  }
  process.on('warning', listener)
  afterwards({ close: () => process.off('warning', listener) })
  return warnings
}

/** Resolves when all warnings so far have been given: that happens after the code that warns has run. */
export async function warned(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
