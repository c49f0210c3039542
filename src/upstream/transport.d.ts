// A condition of package.json chooses http-node.ts or http-fetch.ts.
declare module '#http' {
  export const sendHttp: import('./http.ts').SendHttp
}
