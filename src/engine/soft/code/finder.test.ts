import { describe, expect, it } from "vitest";
import type { GuestIo, VmExit } from "../../api/index.ts";
import { createSoftEngine } from "../index.ts";

const RAM = 0x10000;
const io: GuestIo = { portRead: () => -1, portWrite: () => false, mmioRead: () => 0xff, mmioWrite: () => true, interruptAcknowledge: () => 8 };

/** Runs real-mode code at 0000:`at` until something exits; all exceptions do. */
function run(code: Uint8Array, at = 0x1000, limit = 0xffff): VmExit {
  const vm = createSoftEngine().createVm({ ramBytes: RAM, regions: [], io, readTsc: () => 0 });
  const ram = vm.regions.get("ram");
  if (ram === undefined) throw new Error("no RAM");
  vm.mapSlot({ gpa: 0, region: ram, regionOffset: 0, sizeBytes: RAM, access: "rw" });
  vm.memory.write(at, code);
  vm.vcpu.intercepts.exceptionBitmap = 0xffffffff;
  vm.vcpu.setSegment("cs", { selector: 0, base: 0n, limit, access: 0x9b });
  vm.vcpu.setRip(BigInt(at));
  return vm.vcpu.run({ kind: "run" }, 100);
}
const prefixed = (prefixes: number): Uint8Array => new Uint8Array([...Array.from({ length: prefixes }, () => 0x2e), 0x90, 0xf4]);

describe("finding code", () => {
  // At a page's end, and where the next page begins inside the instruction.
  it.each([0x1000, 0x1ff4, 0x1fff])("takes instructions of 15 bytes, and none of 16, at %i", (at) => {
    expect(run(prefixed(14), at)).toMatchObject({ kind: "hlt" });
    expect(run(prefixed(15), at)).toMatchObject({ kind: "exception", vector: 13, errorCode: 0 });
  });

  it("raises #UD for bytes that are no instruction", () => {
    expect(run(new Uint8Array([0x0f, 0xff, 0xc0]))).toMatchObject({ kind: "exception", vector: 6 });
    expect(run(new Uint8Array([0x0f, 0x04]))).toMatchObject({ kind: "exception", vector: 6, errorCode: undefined });
  });

  it("raises #GP(0) where an instruction runs over the limit of CS", () => {
    expect(run(new Uint8Array([0xb8, 0x34, 0x12, 0xf4]), 0x1000, 0x1001)).toMatchObject({ kind: "exception", vector: 13, errorCode: 0 });
    expect(run(new Uint8Array([0xb8, 0x34, 0x12, 0xf4]), 0x1000, 0x1003)).toMatchObject({ kind: "hlt" });
  });
});
