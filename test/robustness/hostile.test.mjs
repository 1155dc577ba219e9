// Guests that do what no guest should. Each must end as a PC would, or run on until its time is up; the host must not notice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { step } from "../../tools/fuzz/bios.mjs";
import { disks, fuzzMachine, MEMORY_BYTES, runToEnd } from "../../tools/fuzz/machine.mjs";
import { Random } from "../../tools/fuzz/random.mjs";
import { until } from "../support/until.mjs";

const GUEST_NS = 1_000_000;
const le16 = (n) => [n & 0xff, (n >> 8) & 0xff];
const le32 = (n) => [...le16(n), ...le16(n >>> 16)];

/** cli; DS = ES = SS = 0; SP = 7C00h: 11 bytes at 7C00h. */
const REAL = [0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c];
const GDT_AT = 0x7d80;
const GDTR_AT = 0x7da8;
/** Flat: null, 8 code32, 10h data32, 18h code16, 20h TSS; DPL 0. */
const GDT = [
  ...[0, 0, 0, 0, 0, 0, 0, 0],
  ...[0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0],
  ...[0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0],
  ...[0xff, 0xff, 0, 0, 0, 0x9b, 0, 0],
  ...[0x67, 0, 0, 0x06, 0, 0x89, 0, 0],
];
const PROTECTED_AT = 0x7c00 + REAL.length + 16;
/** Into flat 32-bit protected mode. */
const PROTECTED = [
  ...REAL,
  ...[0x0f, 0x01, 0x16, ...le16(GDTR_AT)], // lgdt
  ...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // CR0.PE
  ...[0xea, ...le16(PROTECTED_AT + 2), 0x08, 0x00], // jmp 8:next
  ...[0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, ...le32(0x7c00)],
];
const paging = (cr3) => [0xb8, ...le32(cr3), 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xc0, 0x0d, ...le32(0x80000000), 0x0f, 0x22, 0xc0, 0xeb, 0x00];
/** mov ecx,C0000080h; rdmsr; or ah,1; wrmsr; mov eax,20h; mov cr4,eax */
const LONG = [0xb9, ...le32(0xc0000080), 0x0f, 0x32, 0x80, 0xcc, 0x01, 0x0f, 0x30, 0xb8, ...le32(0x20), 0x0f, 0x22, 0xe0];
/** IVT entry n to 0:offset. */
const vector = (n, offset) => [0xc7, 0x06, ...le16(n * 4), ...le16(offset), 0xc7, 0x06, ...le16(n * 4 + 2), 0, 0];
// 32-bit code.
const store = (address, value) => [0xc7, 0x05, ...le32(address), ...le32(value)];
const lgdt = (at) => [0x0f, 0x01, 0x15, ...le32(at)];
const lidt = (at) => [0x0f, 0x01, 0x1d, ...le32(at)];
const loadDs = (selector) => [0x66, 0xb8, ...le16(selector), 0x8e, 0xd8];
const SPIN = [0xeb, 0xfe];
const VMCALL = [0x0f, 0x01, 0xc1];
/** `code`, and `more` at 7C00h + at. */
const placed = (code, at, more) => [...code, ...Array(at - code.length).fill(0x90), ...more];

function sector(code) {
  const bytes = new Uint8Array(512);
  assert.ok(code.length <= GDT_AT - 0x7c00, `code of ${code.length} bytes`);
  bytes.set(code);
  bytes.set(GDT, GDT_AT - 0x7c00);
  bytes.set([...le16(GDT.length - 1), ...le32(GDT_AT)], GDTR_AT - 0x7c00);
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

async function play(code, options) {
  const drives = disks(sector(code));
  return runToEnd(fuzzMachine(drives, options), drives, GUEST_NS);
}

/** Everyone but self: INIT, then SIPI 7: zeros up to 7C00h, so that all processors end up in this very code. Then random commands for ever. */
const ICR = 0xfee00300;
const IPI_STORM = (seed) => [
  ...PROTECTED,
  ...store(0xfee000f0, 0x1ff),
  ...store(ICR, 0xc4500),
  ...store(ICR, 0xc4607),
  ...[0xbb, ...le32(seed)], // mov ebx, seed
  ...[0x69, 0xdb, ...le32(1664525), 0x81, 0xc3, ...le32(1013904223)], // imul ebx; add ebx
  ...[0x89, 0xd8, 0xc1, 0xe0, 0x03, 0xa3, ...le32(ICR + 0x10)], // mov eax, ebx; shl eax, 3; mov [ICR high], eax
  ...[0x89, 0xd8, 0xc1, 0xe8, 0x0a, 0xa3, ...le32(ICR)], // shr eax, 10; mov [ICR], eax
  ...[0xeb, 0xde],
];
for (const cpus of [2, 5, 16])
  for (const seed of [1, 2])
    test(`random interrupts from ${cpus} processors to each other, seed ${seed}`, async () => {
      const drives = disks(sector(IPI_STORM(seed)));
      await runToEnd(fuzzMachine(drives, { config: { cpus }, tripleFault: "reset" }), drives, 60 * GUEST_NS);
    });

/** Name, code, how it must end (undefined: any end will do). */
const GUESTS = [
  ["a triple fault is a crash", [...REAL, 0x0f, 0x01, 0x1e, 0x00, 0x05, 0xcc], "crash"],
  ["HLT with interrupts off is a halt", [0xfa, 0xf4], "halted"],
  ["a spin with interrupts off runs until its time is up", [0xfa, ...SPIN], "stopped"],
  ["an HLT loop with interrupts on idles", [0xfb, 0xf4, 0xeb, 0xfd], "stopped"],
  ["UD2 in the #UD handler", placed([...REAL, ...vector(6, 0x7c40), 0xb8, 0, 0x20, 0x8e, 0xd0, 0x0f, 0x0b], 0x40, [0x0f, 0x0b]), "stopped"],
  ["VMCALL in the #UD handler", placed([...REAL, ...vector(6, 0x7c40), 0xb8, 0, 0x20, 0x8e, 0xd0, ...VMCALL], 0x40, VMCALL), "stopped"],
  [
    "VMXON, GETSEC and RSM in the #UD handler",
    placed([...REAL, ...vector(6, 0x7c40), 0xb8, 0, 0x20, 0x8e, 0xd0], 0x40, [0x0f, 0x01, 0xc2, 0x0f, 0x37, 0x0f, 0xaa]),
    "stopped",
  ],
  // mov eax,7C60h; mov dr0,eax; mov eax,402h; mov dr7,eax; jmp 7C60h
  [
    "a breakpoint on the #DB handler's first instruction",
    placed(
      [
        ...REAL,
        ...vector(1, 0x7c60),
        0xb8,
        0,
        0x20,
        0x8e,
        0xd0,
        0x66,
        0xb8,
        ...le32(0x7c60),
        0x0f,
        0x23,
        0xc0,
        0x66,
        0xb8,
        ...le32(0x402),
        0x0f,
        0x23,
        0xf8,
      ],
      0x60,
      [0x90, 0xeb, 0xfd],
    ),
    "stopped",
  ],
  [
    "TF set for ever with a handler that sets it again",
    placed([...REAL, ...vector(1, 0x7c40), 0x9c, 0x58, 0x80, 0xcc, 0x01, 0x50, 0x9d, ...SPIN], 0x40, [0xcf]),
    "stopped",
  ],
  ["INT 3 whose handler is INT 3", placed([...REAL, ...vector(3, 0x7c40), 0xb8, 0, 0x20, 0x8e, 0xd0, 0xcc], 0x40, [0xcc, 0xeb, 0xfd]), "stopped"],
  ["a divide error for ever", [...REAL, 0xb0, 1, 0xf6, 0xf4, 0x31, 0xc0, 0xf7, 0xf0, ...SPIN], undefined],
  ["running in the display window", [...REAL, 0xb8, 0x00, 0xb8, 0x8e, 0xc0, 0x26, 0xc7, 0x06, 0, 0, 0xeb, 0xfe, 0xea, 0, 0, 0x00, 0xb8], "stopped"],
  ["running in the graphics window", [...REAL, 0xea, 0, 0, 0x00, 0xa0], undefined],
  ["running where nothing is", [...REAL, 0xea, 0, 0, 0x00, 0xd0], undefined],
  ["running above 1 MB through FFFF:", [...REAL, 0xea, 0x10, 0, 0xff, 0xff], undefined],
  ["a stack in ROM", [...REAL, 0xb8, 0x00, 0xf0, 0x8e, 0xd0, 0xbc, 0x00, 0x10, 0xcd, 0x12, 0xcd, 0x11, 0xe8, 0, 0, ...SPIN], undefined],
  ["a stack in the display window", [...REAL, 0xb8, 0x00, 0xb8, 0x8e, 0xd0, 0xbc, 0x00, 0x10, 0xfb, 0xcd, 0x12, 0xcd, 0x11, 0xeb, 0xfa], "stopped"],
  ["a stack pointer of 1", [...REAL, 0xbc, 0x01, 0x00, 0x50, 0xcd, 0x12, ...SPIN], undefined],
  // mov di,0; mov cx,200h; mov ax,imm; rep stosw; sti; int n …
  ["an interrupt table of FFh", [...REAL, 0xb8, 0xff, 0xff, 0x31, 0xff, 0xb9, 0, 2, 0xf3, 0xab, 0xfb, 0xcd, 0x10, 0xeb, 0xfc], undefined],
  [
    "an interrupt table that points at the display",
    [...REAL, 0xb8, 0x00, 0xb8, 0x31, 0xff, 0xb9, 0, 2, 0xf3, 0xab, 0xfb, 0xcd, 0x10, 0xeb, 0xfc],
    undefined,
  ],
  [
    "a BIOS data area of FFh",
    [
      ...REAL,
      0xb8,
      0xff,
      0xff,
      0xbf,
      0,
      4,
      0xb9,
      0x80,
      0,
      0xf3,
      0xab,
      0xfb,
      0xb8,
      0x41,
      0x0e,
      0xcd,
      0x10,
      0xb8,
      0,
      1,
      0xcd,
      0x16,
      0xb8,
      1,
      2,
      0xcd,
      0x13,
      0xeb,
      0xef,
    ],
    undefined,
  ],
  // mov edi,x; mov ecx,-1; rep stosd
  ["REP STOSD over all 4 GiB", [...PROTECTED, 0xbf, ...le32(0xa0000), 0xb9, ...le32(0xffffffff), 0xf3, 0xab, ...SPIN], undefined],
  [
    "REP STOSB backwards through everything",
    [...PROTECTED, 0xfd, 0xbf, ...le32(0xffffffff), 0xb9, ...le32(0xffffffff), 0xf3, 0xaa, ...SPIN],
    undefined,
  ],
  [
    "REP MOVSD from nowhere over the display, across the wrap",
    [...PROTECTED, 0xbe, ...le32(0xfffffff0), 0xbf, ...le32(0xa0002), 0xb9, ...le32(0xffffffff), 0xf3, 0xa5, ...SPIN],
    undefined,
  ],
  [
    "REP INSB over the display",
    [...PROTECTED, 0x66, 0xba, 0x60, 0x00, 0xbf, ...le32(0xa0000), 0xb9, ...le32(0xffffffff), 0xf3, 0x6c, ...SPIN],
    undefined,
  ],
  [
    "REP OUTSD from ROM to the disk's data port",
    [...PROTECTED, 0x66, 0xba, 0xf0, 0x01, 0xbe, ...le32(0xf0000), 0xb9, ...le32(0xffffffff), 0xf3, 0x6f, ...SPIN],
    undefined,
  ],
  [
    "REPE CMPSB through the display",
    [...PROTECTED, 0xbe, ...le32(0xa0000), 0xbf, ...le32(0xa0000), 0xb9, ...le32(0xffffffff), 0xf3, 0xa6, ...SPIN],
    undefined,
  ],
  ["REP LODSB of everything", [...PROTECTED, 0x31, 0xf6, 0xb9, ...le32(0xffffffff), 0xf3, 0xac, ...SPIN], undefined],
  ["VMCALL in protected mode, no handlers", [...PROTECTED, ...VMCALL, ...SPIN], "crash"],
  ["VMCALL of the ROM's copy below 4 GiB", [...PROTECTED, 0xb8, ...le32(0xfffff000), 0xff, 0xe0], undefined],
  ["executing a frame buffer that is not there", [...PROTECTED, 0xb8, ...le32(0xfd000000), 0xff, 0xe0], undefined],
  ["executing the I/O APIC's page", [...PROTECTED, 0xb8, ...le32(0xfec00000), 0xff, 0xe0], undefined],
  ["code that ends at 4 GiB", [...PROTECTED, 0xb8, ...le32(0xffffffff), 0xff, 0xe0], undefined],
  ["page tables that point at themselves", [...PROTECTED, ...store(0x10000, 0x10007), ...paging(0x10000), ...SPIN], undefined],
  ["page tables in the display window", [...PROTECTED, ...paging(0xa0000), ...SPIN], undefined],
  ["page tables in ROM", [...PROTECTED, ...paging(0xf0000), ...SPIN], undefined],
  ["page tables beyond memory", [...PROTECTED, ...paging(0x7ffff000), ...SPIN], "crash"],
  ["page tables at the end of the address space", [...PROTECTED, ...paging(0xfffff000), ...SPIN], undefined],
  [
    "a GDT in the display window",
    [...PROTECTED, ...store(0x6000, 0x0000ffff), ...store(0x6004, 0x0000000a), ...lgdt(0x6000), ...loadDs(0x18), ...SPIN],
    undefined,
  ],
  [
    "a GDT that wraps at 4 GiB",
    [...PROTECTED, ...store(0x6000, 0xfff8ffff), ...store(0x6004, 0x0000ffff), ...lgdt(0x6000), ...loadDs(0x18), ...SPIN],
    undefined,
  ],
  ["an IDT where nothing is", [...PROTECTED, ...store(0x6000, 0x000007ff), ...store(0x6004, 0x0000ec00), ...lidt(0x6000), 0xcc, ...SPIN], "crash"],
  [
    "a task switch to an empty task",
    [...PROTECTED, 0x66, 0xb8, 0x20, 0x00, 0x0f, 0x00, 0xd8, 0x80, 0x25, ...le32(GDT_AT + 0x25), 0xfd, 0xea, ...le32(0), 0x20, 0x00, ...SPIN],
    undefined,
  ],
  ["a task in the display window", [...PROTECTED, ...store(GDT_AT + 0x22, 0x890a0000), 0xea, ...le32(0), 0x20, 0x00, ...SPIN], undefined],
  ["a task that lies over the GDT", [...PROTECTED, ...store(GDT_AT + 0x22, 0x89007d80), 0xea, ...le32(0), 0x20, 0x00, ...SPIN], undefined],
  ["an IRET with NT and no back link", [...PROTECTED, 0x9c, 0x80, 0x4c, 0x24, 0x01, 0x40, 0x9d, 0xcf, ...SPIN], undefined],
  ["long mode without page tables", [...PROTECTED, ...LONG, ...paging(0x7ffff000), ...SPIN], "crash"],
  ["long mode with tables in the display window", [...PROTECTED, ...LONG, ...paging(0xa0000), ...SPIN], undefined],
  ["long mode that maps itself", [...PROTECTED, ...LONG, ...store(0x10000, 0x10007), ...paging(0x10000), ...SPIN], undefined],
  // loop: inc byte [loop+…]; jmp loop
  ["code that counts in itself", [...REAL, 0xbb, 0, 0, 0xfe, 0x06, ...le16(0x7c0d), 0xeb, 0xf7], "stopped"],
  ["code that overwrites its page again and again", [...REAL, 0xbf, 0x00, 0x7d, 0xb9, 0x80, 0, 0xb0, 0x90, 0xf3, 0xaa, 0xeb, 0xf4], "stopped"],
  ["a string store that runs into its own instruction", [...REAL, 0xbf, 0x00, 0x7c, 0xb9, 0x00, 0x10, 0xb0, 0xf4, 0xf3, 0xaa, ...SPIN], undefined],
  // mov dx,port; out: the A20 gate, a fast reset, shutdown by CF9h
  ["the A20 gate flipped for ever", [...REAL, 0xb0, 2, 0xe6, 0x92, 0x30, 0xc0, 0xe6, 0x92, 0xeb, 0xf6], "stopped"],
  ["a reset for ever", [...REAL, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, ...SPIN], "stopped"],
  ["INT 19h for ever", [...REAL, 0xcd, 0x19], undefined],
  ["INT 18h for ever", [...REAL, 0xcd, 0x18], undefined],
  [
    "PAM switched under running code",
    [
      ...REAL,
      0x66,
      0xb8,
      ...le32(0x80000058),
      0xba,
      0xf8,
      0x0c,
      0x66,
      0xef,
      0xb2,
      0xfc,
      0x66,
      0xf7,
      0xd1,
      0x66,
      0x89,
      0xc8,
      0x66,
      0xef,
      0xcd,
      0x12,
      0xeb,
      0xf4,
    ],
    undefined,
  ],
];

for (const [name, code, end] of GUESTS) {
  test(name, async () => {
    const got = await play(code);
    if (end !== undefined) assert.equal(got, end);
    await play(code, { trapStyle: "port", tripleFault: "reset" });
  });
}

test("writes to ROM vanish", async () => {
  // mov ax,F000h / C000h; mov es,ax; mov cx,FFFFh; rep stosb
  const drives = disks(
    sector([
      ...REAL,
      0xb8,
      0x00,
      0xf0,
      0x8e,
      0xc0,
      0x31,
      0xff,
      0xb9,
      0xff,
      0xff,
      0xf3,
      0xaa,
      0xb8,
      0x00,
      0xc0,
      0x8e,
      0xc0,
      0xb9,
      0x00,
      0x40,
      0xf3,
      0xaa,
      0xf4,
    ]),
  );
  const vm = fuzzMachine(drives);
  const before = [vm.memory.read(0xf0000, 0x10000), vm.memory.read(0xc0000, 0x4000), vm.memory.read(0xffff0000, 0x10000)];
  vm.start();
  assert.equal((await vm.ended).kind, "halted");
  const after = [vm.memory.read(0xf0000, 0x10000), vm.memory.read(0xc0000, 0x4000), vm.memory.read(0xffff0000, 0x10000)];
  assert.ok(before.every((bytes, i) => Buffer.from(bytes).equals(Buffer.from(after[i]))));
  vm.dispose();
});

test("floppy DMA aimed at the vectors, the display, ROM and past memory", async () => {
  for (const page of [0x00, 0x0a, 0x0b, 0x0f, 0x10, 0xff]) {
    // Channel 2: mode, address FF80h, count FFFFh, page; then motor on and READ DATA of a whole track.
    const script = [
      [0x0a, 6],
      [0x0b, 0x46],
      [0x0c, 0],
      [0x04, 0x80],
      [0x04, 0xff],
      [0x05, 0xff],
      [0x05, 0xff],
      [0x81, page],
      [0x0a, 2],
      [0x3f2, 0x1c],
    ];
    for (const byte of [0xe6, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff]) script.push([0x3f5, byte]);
    const bytes = script.flatMap(([port, value]) => [...le16(port), value]);
    // mov si,table; mov bp,count; l: lodsw; xchg ax,dx; lodsb; out dx,al; mov cx,200; loop $; dec bp; jnz l; sti; jmp $
    const code = [
      ...REAL,
      0xbe,
      ...le16(0x7c40),
      0xbd,
      ...le16(script.length),
      0xad,
      0x92,
      0xac,
      0xee,
      0xb9,
      200,
      0,
      0xe2,
      0xfe,
      0x4d,
      0x75,
      0xf4,
      0xfb,
      ...SPIN,
    ];
    await play(placed(code, 0x40, bytes));
  }
});

test("VMCALL from copies of the BIOS's stubs, and from all over its segment", async () => {
  const random = new Random(7);
  for (const trapStyle of ["vmcall", "port"]) {
    const drives = disks(Uint8Array.from([0xfa, 0xf4]));
    const vm = fuzzMachine(drives, { trapStyle, tripleFault: "reset" });
    const { pc } = vm;
    const rom = vm.memory.read(0xf0000, 0x10000);
    vm.memory.write(0x10000, rom);
    for (let i = 0; i < 400; i++) {
      const raw = pc.vcpu.regs.raw;
      const selector = random.pick([0xf000, 0xf000, 0xf000, 0x1000, 0xff00, 0xefff]);
      // Anywhere, as often as not at a trap itself.
      let offset = random.u16();
      if (random.once(2))
        for (; offset < 0xfffd && !(rom[offset] === 0x0f && rom[offset + 1] === 0x01) && !(rom[offset] === 0xe6 || rom[offset] === 0xee); offset++);
      offset = (offset + 0xf0000 - (selector === 0x1000 ? 0xf0000 : selector << 4)) & 0xffff;
      raw.setSegment("cs", { selector, base: BigInt(selector << 4), limit: 0xffff, access: 0x9b });
      raw.setSegment("ss", { selector: 0x8000, base: 0x80000n, limit: 0xffff, access: 0x93 });
      raw.setGpr(4, BigInt(random.word()));
      raw.setGpr(0, BigInt(random.dword()));
      raw.setRip(BigInt(offset));
      raw.setRflags(2 | (random.once(2) ? 0x200 : 0));
      if (pc.vcpu.halted) pc.vcpu.setHalted(false);
      step(pc, 300);
      const request = pc.takeRequest();
      if (request?.kind === "reset") pc.reset(request.warm ? "warm" : "cold");
    }
    for (const { image } of drives) image.check();
    vm.dispose();
  }
});

/** Makes one INT 13h call from a guest at 7000:0 and gives AH and carry. */
function int13(vm, { ax, cx = 1, dx = 0x80, es = 0x1000, bx = 0, ds = 0x1000, si = 0 }) {
  const raw = vm.pc.vcpu.regs.raw;
  vm.memory.write(0x70000, Uint8Array.from([0xcd, 0x13, 0xeb, 0xfe]));
  const segment = (name, selector, access = 0x93) => raw.setSegment(name, { selector, base: BigInt(selector << 4), limit: 0xffff, access });
  segment("cs", 0x7000, 0x9b);
  segment("ss", 0x8000);
  segment("ds", ds);
  segment("es", es);
  for (const [r, value] of [
    [0, ax],
    [1, cx],
    [2, dx],
    [3, bx],
    [4, 0x7000],
    [6, si],
  ])
    raw.setGpr(r, BigInt(value));
  raw.setRip(0n);
  raw.setRflags(2);
  step(vm.pc, 5000);
  return { ah: (raw.getGpr32(0) >> 8) & 0xff, carry: (raw.getRflags() & 1) !== 0, rip: Number(raw.getRip()) };
}

test("impossible disk transfers get the status a PC gives, and touch nothing", async () => {
  const drives = disks(Uint8Array.from([0xfa, 0xf4]));
  const vm = fuzzMachine(drives);
  const [floppy, disk] = drives.map(({ image }) => image);
  const images = [floppy.bytes.slice(), disk.bytes.slice()];
  const bda = () => Buffer.from(vm.memory.read(0x400, 0x3e));
  const before = bda();
  const packet = (count, segment, offset, lba) =>
    vm.memory.write(0x10000, Uint8Array.from([16, 0, ...le16(count), ...le16(offset), ...le16(segment), ...le32(lba), 0, 0, 0, 0]));
  const fails = (what, call) => {
    const { ah, carry, rip } = int13(vm, call);
    assert.equal(rip, 2, `${what}: the call came back`);
    assert.ok(carry && ah !== 0, `${what}: AH=${ah.toString(16)} carry=${carry}`);
  };
  fails("read of 0 sectors", { ax: 0x0200 });
  fails("write of 0 sectors", { ax: 0x0300 });
  fails("read of 255 sectors from a floppy", { ax: 0x02ff, dx: 0 });
  fails("sector 0", { ax: 0x0201, cx: 0 });
  fails("cylinder 1023", { ax: 0x0301, cx: 0xffff });
  fails("head 255", { ax: 0x0301, dx: 0xff80 });
  fails("a drive that is not there", { ax: 0x0201, dx: 0x8f });
  fails("floppy cylinder 200", { ax: 0x0301, dx: 0, cx: 0xc801 });
  fails("a floppy transfer across 64 KB", { ax: 0x0208, dx: 0, es: 0x1f80, bx: 0x400 });
  packet(1, 0x2000, 0, 0x10000);
  fails("an extended read past the end", { ax: 0x4200 });
  fails("an extended write past the end", { ax: 0x4300 });
  packet(127, 0x2000, 0, 2000);
  fails("an extended write that runs past the end", { ax: 0x4300 });
  packet(1, 0x2000, 0, 0xffffffff);
  fails("an extended read of the last sector of all", { ax: 0x4200 });
  assert.ok(before.equals(bda()), "the BIOS data area is as it was");
  assert.ok(
    Buffer.from(floppy.bytes).equals(Buffer.from(images[0])) && Buffer.from(disk.bytes).equals(Buffer.from(images[1])),
    "the images are as they were",
  );
  // Into ROM, the display and round 1 MB: what a PC does there is nothing, or a wrap.
  for (const [es, bx] of [
    [0xf000, 0],
    [0xa000, 0],
    [0xb800, 0],
    [0xffff, 0xffff],
    [0xffff, 0],
    [0xfff0, 0],
    [0x0000, 0xfe00],
    [0x1000, 0xffff],
  ]) {
    for (const ax of [0x0201, 0x0280, 0x0301, 0x02ff]) int13(vm, { ax, es, bx });
    packet(64, es, bx, 3);
    for (const ax of [0x4200, 0x4300, 0x4400]) int13(vm, { ax });
  }
  for (const { image } of drives) image.check();
  assert.equal(vm.memory.sizeBytes, MEMORY_BYTES);
  vm.dispose();
});

/** Each resets the machine, and again when it has booted. */
const RESETS = {
  "port 92h": [0xb0, 1, 0xe6, 0x92, 0xf4],
  "port CF9h": [0xba, 0xf9, 0x0c, 0xb0, 6, 0xee, 0xf4],
  "the keyboard controller": [0xb0, 0xfe, 0xe6, 0x64, 0xf4],
  // IDTR limit 0, INT3; the word at 472h says that a reset is meant.
  "a triple fault": [0x31, 0xc0, 0x8e, 0xd8, 0xc7, 0x06, ...le16(0x472), 0x34, 0x12, 0x0f, 0x01, 0x1e, ...le16(0x7d00), 0xcc],
};
for (const [by, code] of Object.entries(RESETS)) {
  test(`resets by ${by} without end leave nothing behind`, async () => {
    const vm = fuzzMachine(disks(sector(code)));
    vm.start();
    const kept = [];
    for (const resets of [10, 40]) {
      await until(() => (vm.stats()["resets"] ?? 0) >= resets, `${resets} resets`);
      kept.push(vm.stats()["engine.keptInstructions"]);
    }
    await vm.dispose();
    // Of killed blocks; what is decoded when the machine is looked at is some blocks' worth.
    assert.ok(kept[0] < 500 && kept[1] < 500, `instructions kept after 10 and 40 resets: ${kept}`);
  });
}
