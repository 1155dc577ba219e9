/** Where the recorded answers of QEMU's TCG depart from the manual or from silicon: a reason, or "" when the difference is ours. */
export function knownDifference(c, wrong) {
  const a = c.asm;
  const first = wrong[0] ?? "";
  if (a === "db 0xf1") return "INT1: QEMU raises #UD";
  if (/^lar/.test(a) && wrong.length === 1) return "LAR: silicon also gives the limit bits 19:16";
  if (/^mov dr6/.test(a)) return "DR6: QEMU keeps reserved bits";
  if (/^(rd|wr)msr/.test(a) && c.gpr[1] === 0x12345) return "unknown MSR: QEMU reads 0 and ignores writes; #GP(0)";
  if (a === "ltr ax" && (c.gpr[0] & 0xfffc) === 0) return "LTR of null: QEMU loads it; #GP(0)";
  if (a === "mov cr0, ebx" && c.gpr[3] === 0x80000000) return "CR0.PG without PE: QEMU allows it; #GP(0)";
  if (a === "mov cr0, ebx" && /^cr2/.test(first) && wrong.length === 1) return "the page fault of the next fetch is already in CR2";
  if (c.mode === "real" && a === "mov al, [ebx]") return "QEMU checks no segment limits";
  if (c.mode === "real" && a === "push ax") return "PUSH at SP 1 in real mode: shutdown (SDM vol. 2 PUSH); QEMU checks no limits";
  if (/^(jmp|call) 72:0/.test(a) && /triple-fault/.test(first)) return "fault in a new task whose SS is not loaded yet: QEMU pushes through it";
  const all = wrong.join("; ");
  if (/r[0-7] ffff1a1a/.test(all)) return "16-bit TSS: upper register halves are undefined; ours are ones";
  if (a === "mov cr0, ebx" && c.gpr[3] === 0x20000011) return "CR0.NW without CD: QEMU allows it; #GP(0)";
  if (/^call/.test(a) && /^cs 73, not 70$/.test(all)) return "conforming code keeps CPL in CS.RPL; QEMU writes 0";
  if (c.mode === "prot3" && a === "iretd" && /not 2[03].02/.test(all)) return "IRET at CPL 3 does not set VM; QEMU does";
  if (/^(jmp|call) 72:0/.test(a) || (c.flags === 0x4002 && /^iret/.test(a) && /triple-fault/.test(first)))
    return "fault in a new task: QEMU pushes the old EIP, or through a stack that is not loaded yet";
  const long = /long|compat/.test(c.mode);
  if (long && a === "mov ss, ax" && (c.gpr[0] & 0xfffc) === 0) return "null SS needs RPL = CPL (SDM vol. 2 MOV); QEMU asks AMD's rule";
  if (long && /^l(ar|sl|ldt|tr)|verr|verw/.test(a))
    return "IA-32e system descriptors are 16 bytes and the upper type must be 0; QEMU reads 8, or looks at P first";
  if (long && /^rip a0d0, not a0b0$/.test(all)) return "IA-32e gates: the upper half is checked before P; QEMU looks at P first";
  if (long && c.mode !== "long3" && (/\b336:/.test(a) || c.memory.some(([, b]) => b.join().includes("80,1"))))
    return "a code segment with L and D is #GP; QEMU loads it";
  if (c.mode === "compat3" && /\[0x300/.test(a)) return "DS is null after the return to CPL 3: #GP(0); QEMU lets accesses pass";
  if (/^prot3/.test(c.mode) && /^iret/.test(a) && /flags [0-9a-f]+, not 2[0-9a-f]{4}/.test(all)) return "IRET at CPL 3 does not set VM; QEMU does";
  if (/^v86/.test(c.mode) && a === "int 38") return "a handler for V86 code must have DPL 0: #GP; QEMU goes to level 1";
  if (/^v86|prot3io/.test(c.mode) && (a === "mov al, [ebx]" || a === "push ax")) return "QEMU checks no segment limits";
  if (long && /^int /.test(a) && /^\[[0-9a-f]+\]/.test(first)) return "error code of INT n is n * 8 + 2, as on silicon; QEMU's is n * 16 + 2";
  if (long && a === "int 36" && /^ss 10, not 0$/.test(all)) return "IST without a change of CPL keeps SS (SDM vol. 3 6.14.5); QEMU loads null";
  if (c.mode === "long0" && /^mov cr[04]/.test(a) && /^rip a0d0/.test(first))
    return "CR0.PG or CR4.PAE cleared in 64-bit code: #GP(0); QEMU allows it";
  if (/sysret/.test(a) && typeof c.gpr[1] === "string") return "SYSRET to a non-canonical address: #GP(0) before the switch on Intel";
  if (/sysenter|sysexit/.test(a) && /^cs access a0.b, not e0.b$/.test(all))
    return "SYSENTER and SYSEXIT to 64-bit code load CS with D = 0; QEMU sets it";
  if (c.mode === "compat3" && /^bound/.test(a)) return "DS is null after the return to CPL 3: #GP(0); QEMU lets accesses pass";
  if (c.mode.startsWith("guard")) return guardedDifference(c, wrong, all);
  return "";
}

function guardedDifference(c, wrong, all) {
  const a = c.asm;
  if (/triple-fault/.test(wrong[0])) return "a fault on a stack that SMAP or its page forbids, and again in its delivery: shutdown; QEMU resets";
  // Page tables of the guarded modes lie at 14000h.
  const others = wrong.filter((w) => !/^\[170(4|5)[08]\] 2[37], not [37]$/.test(w));
  if (others.length === 0) return "the page of the next instruction is accessed a little earlier than QEMU does";
  if (/^(add|xchg|cmpxchg)/.test(a) && others.every((w) => /^\[20[de]d0\] [2367], not [0145]$|^\[171..\]/.test(w)))
    return "read-modify-write probes for writing first, as silicon does; QEMU reads";
  if (/^fxsave/.test(a) && others.every((w) => /^cr2/.test(w))) return "FXSAVE touches its last byte first, as on silicon";
  if (/^(fx|x)save/.test(a) && others.every((w) => /^\[3[0-9a-f]{2}[0-9a-f]{2}\] 0, not/.test(w)))
    return "QEMU leaves the opcode and the padding of x87 registers in the image as they are; silicon writes zeros";
  if (/^xsave/.test(a) && /^cr2 \w+(23|1f)f/.test(wrong[0])) return "XSAVE touches the last byte of its header first, as on silicon";
  if (/^xrstor/.test(a) && /^cr2 \w+408/.test(wrong[0])) return "XRSTOR reads XCOMP_BV first, as on silicon";
  if (/^fnstenv/.test(a)) return "reserved upper halves of the environment are ones on silicon; QEMU writes zeros";
  if (/^clflush/.test(a)) return "CLFLUSH is checked as a load of a byte (SDM vol. 2); QEMU does nothing";
  if (/^lgdt/.test(a) && /rip a0d0/.test(all)) return "LGDT of a base that is not canonical: #GP(0); QEMU loads it";
  if (/^rep /.test(a)) return "a repeated string is one step here, QEMU steps once a repetition";
  if (/^wr[fg]sbase/.test(a) && c.gpr[0] === "0x800000000000") return "WRFSBASE of a base that is not canonical: #GP(0); QEMU loads it";
  if (/^mov cr4/.test(a) && /rip a0d0/.test(all)) return "reserved bits of CR4: #GP(0); QEMU drops them";
  if (a === "wrmsr" && c.gpr[1] === 0x277) return "reserved memory type in IA32_PAT: #GP(0); QEMU stores it";
  if (a === "iretq" && c.mode === "guard3") return "QEMU reads the frame of a CPL 3 IRET as a supervisor";
  return "";
}
