// `boot()` for tests of this repository: guests from other people's disks take longer than a `waitFor` waits by itself, most of all beside other tests.
import { boot as bootDefault } from "../../dist/node/index.js";

const WAIT_MS = 60_000;

export function boot(options) {
  return bootDefault({ waitTimeoutMs: WAIT_MS, ...options });
}
