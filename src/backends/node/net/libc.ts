import type Koffi from "koffi";
import { VmmError } from "../../../base/index.ts";

/** The two system calls that Node has no words for. */
export interface Libc {
  /** ioctl(2) with a structure; 0 or errno. */
  ioctlBuffer(fd: number, request: number, buffer: Uint8Array): number;
  /** ioctl(2) with a number; 0 or errno. */
  ioctlValue(fd: number, request: number, value: number): number;
  /** poll(2) for input in another thread; false: nothing came in time. */
  pollIn(fd: number, timeoutMs: number, done: (readable: boolean) => void): void;
}

const POLLIN = 1;

/** Through the optional package koffi; a `VmmError` says so when it is not there. */
export async function loadLibc(): Promise<Libc> {
  let koffi: typeof Koffi;
  try {
    koffi = (await import("koffi")).default;
  } catch (cause) {
    throw new VmmError("NET_TAP_KOFFI", "tap: the optional package koffi is not installed; run npm install koffi, or use --net user", { cause });
  }
  const libc = koffi.load(null);
  const ioctl = libc.func("int ioctl(int fd, unsigned long request, ...)");
  const poll = libc.func("int poll(void *fds, unsigned long count, int timeout)");
  const result = (value: number): number => (value < 0 ? koffi.errno() : 0);
  return {
    ioctlBuffer: (fd, request, buffer) => result(Number(ioctl(fd, request, "void *", buffer))),
    ioctlValue: (fd, request, value) => result(Number(ioctl(fd, request, "unsigned long", value))),
    pollIn(fd, timeoutMs, done) {
      // struct pollfd: descriptor, wanted events, events that came. Kept alive by the callback.
      const fds = new Uint8Array(8);
      const view = new DataView(fds.buffer);
      view.setInt32(0, fd, true);
      view.setInt16(4, POLLIN, true);
      poll.async(fds, 1, timeoutMs, () => done((view.getInt16(6, true) & POLLIN) !== 0));
    },
  };
}
