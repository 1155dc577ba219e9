/** Escape sequences mean something to the terminal. */
export function canDraw(environment: NodeJS.ProcessEnv): boolean {
  return environment["TERM"] !== "dumb";
}
