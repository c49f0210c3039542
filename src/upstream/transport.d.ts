// A condition of package.json chooses http-node.ts or http-fetch.ts.
declare module '#http' {
  export const sendHttp: import('./http.ts').SendHttp
}

// A condition of package.json chooses advice-for-servers.ts or advice-for-browsers.ts.
declare module '#advice' {
  export const RUNTIME_CAUSES: readonly import('./advice.ts').Cause[]
}
