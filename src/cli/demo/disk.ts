import { MemoryBlockBackend } from "../../backends/api/index.ts";
import { DEMO_IMAGE } from "./image.ts";

/** Offset of the second stage's "a person is watching" flag: sector 1, after its jump. */
const INTERACTIVE_FLAG = 512 + 3;
/** A small hard disk: 63 sectors, as the partition table says, rounded up to one cylinder of 16 heads. */
const DISK_BYTES = 16 * 63 * 512;

/** The demonstration disk, in memory. `interactive`: it waits for keys between its pages. */
export function demoDisk(interactive: boolean): MemoryBlockBackend {
  const bytes = new Uint8Array(DISK_BYTES);
  bytes.set(Buffer.from(DEMO_IMAGE, "base64"));
  bytes[INTERACTIVE_FLAG] = interactive ? 1 : 0;
  return new MemoryBlockBackend("demo", bytes);
}
