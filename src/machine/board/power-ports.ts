import type { BusDevice } from "../../bus/index.ts";

const WORD = "Shutdown";

/**
 * Ways to switch a virtual PC off that no real chip has: the word "Shutdown" written byte by byte to port 8900h (Bochs and the
 * old QEMU BIOS interface; GRUB's `halt` uses it).
 */
export class PowerPorts {
  static readonly SHUTDOWN_PORT = 0x8900;
  readonly shutdown: BusDevice;
  /** Letters of the word that have come. For snapshots. */
  matched = 0;

  constructor(powerOff: (by: string) => void) {
    this.shutdown = {
      name: "shutdown-port",
      read: (_offset, size) => (size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff),
      write: (_offset, _size, value) => {
        const char = String.fromCharCode(value & 0xff);
        if (char === WORD.charAt(this.matched)) this.matched++;
        else this.matched = char === WORD.charAt(0) ? 1 : 0;
        if (this.matched < WORD.length) return;
        this.matched = 0;
        powerOff("port 8900h");
      },
    };
  }
}
