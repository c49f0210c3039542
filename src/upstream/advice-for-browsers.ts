import type { Cause } from './advice.ts'

/** A page can see no cause that is not in advice.ts. */
export const SERVER_CAUSES: readonly Cause[] = []
