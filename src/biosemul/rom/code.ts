import type { TrapStyle } from "../config.ts";
import type { Assembler } from "./assembler.ts";
import { BIOS_TRAP_PORT, ENTRY, ROM_CODE, TRAP } from "./layout.ts";

/** Where a trap instruction is and what happens around it. */
export interface TrapSite {
  /** Offset of the trap instruction; 3 bytes long. */
  readonly offset: number;
  /** Interrupt vector, or a number of `TRAP`. */
  readonly id: number;
  /** Offset of the STI; HLT arm; 0 when the site cannot wait. */
  readonly wait: number;
  /** The trap after STI; HLT. */
  readonly resumed: boolean;
  /** Where the call goes on when its service is done. */
  readonly done: number;
}

/** Vectors whose services an interpreter inside the guest can ask for. */
const INTERPRETED = [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x1a, 0x40] as const;
const interpreted = (vector: number): string => `interpreted_${vector.toString(16)}`;

/** From a stub's wait arm to its poll arm. */
export const POLL_ARM = 6;

/** Emits the ROM's code; collects the trap sites. Mnemonics stand beside the bytes. */
export class RomCode {
  readonly sites: TrapSite[] = [];
  readonly #a: Assembler;
  readonly #style: TrapStyle;
  constructor(a: Assembler, style: TrapStyle) {
    this.#a = a;
    this.#style = style;
  }

  #trapBytes(): void {
    if (this.#style === "vmcall") this.#a.db(0x0f, 0x01, 0xc1);
    else this.#a.db(0xe6, BIOS_TRAP_PORT, 0x90); // out port, al; nop
  }
  #trap(id: number): void {
    this.sites.push({ offset: this.#a.at, id, wait: 0, resumed: false, done: this.#a.at + 3 });
    this.#trapBytes();
  }
  /**
   * The first trap of a stub and its IRET: 7 bytes in either style. A trap of the "port" style that somebody interprets (x86emu, x86bios(9))
   * is a plain OUT: what follows it passes the interpreter's registers by memory instead.
   */
  #entry(id: number, wait: number): void {
    const at = this.#a.at;
    const byMemory = this.#style === "port" && INTERPRETED.some((vector) => vector === id);
    this.sites.push({ offset: at, id, wait, resumed: false, done: byMemory ? at + 6 : at + 3 });
    this.#trapBytes();
    if (byMemory) this.#a.jmp(interpreted(id)).db(0xcf);
    else this.#a.db(0xcf, 0x90, 0x90, 0x90); // iret
  }

  /** A stub for a service that never waits. 7 bytes. */
  #quickStub(vector: number): void {
    this.#entry(vector, 0);
  }
  /** A whole stub: trap; IRET; wait arm; poll arm. 17 bytes. */
  #stub(vector: number): void {
    const wait = this.#a.at + 7;
    this.#entry(vector, wait);
    this.#a.db(0xfb, 0xf4); // sti; hlt
    this.sites.push({ offset: this.#a.at, id: vector, wait, resumed: true, done: this.#a.at + 3 });
    this.#trapBytes();
    this.#a.db(0xcf);
    this.#a.db(0xfb, 0x90, 0xeb, 0xf8); // sti; nop; jmp to the second trap
  }
  /** A far-call entry: trap; RETF. */
  #far(label: string, id: number): void {
    this.#a.label(label);
    this.#trap(id);
    this.#a.db(0xcb);
  }

  /** The fixed entry points. */
  entries(): void {
    const a = this.#a;
    a.org(ENTRY.POST).jmp("post");
    a.org(ENTRY.NMI).db(0xcf);
    a.org(ENTRY.INT13).jmp("int13");
    a.org(ENTRY.INT19).jmp("int19");
    a.org(ENTRY.INT14);
    this.#stub(0x14);
    a.org(ENTRY.INT16);
    this.#stub(0x16);
    a.org(ENTRY.INT09).jmp("int09");
    a.org(ENTRY.INT40);
    this.#stub(0x40);
    a.org(ENTRY.INT0E).jmp("int0e");
    a.org(ENTRY.INT17);
    this.#stub(0x17);
    a.org(ENTRY.INT10);
    this.#stub(0x10);
    a.org(ENTRY.INT12);
    this.#quickStub(0x12);
    a.org(ENTRY.INT11);
    this.#quickStub(0x11);
    a.org(ENTRY.INT15);
    this.#stub(0x15);
    a.org(ENTRY.INT1A);
    this.#stub(0x1a);
    a.org(ENTRY.INT08).jmp("int08");
    a.org(ENTRY.IRET).db(0xcf);
    a.org(ENTRY.INT05).jmp("int05");
    a.org(ENTRY.RESET).db(0xea).dw(ENTRY.POST, 0xf000);
  }

  /** The routines behind them. */
  routines(): void {
    const a = this.#a;
    a.org(ROM_CODE);
    this.#disk();
    this.#interpreted();
    this.#boot();
    this.#timer();
    this.#keyboard();
    this.#printScreen();
    this.#hardware();
    this.#mouse();
    this.#farEntries();
  }

  /**
   * INT 13h is the fixed-disk BIOS; what is meant for a diskette goes on through INT 40h, which a guest may have hooked (IBM PC AT BIOS
   * listing, DISK). A jump, not a second INT: the handler edits the caller's own FLAGS. El Torito's 4Ah-4Dh stay, whatever DL says.
   */
  #disk(): void {
    const a = this.#a;
    a.label("int13");
    a.db(0x80, 0xfa, 0x80).short(0x73, "int13_disk"); // cmp dl, 80h; jae
    a.db(0x80, 0xfc, 0x4a).short(0x72, "int13_floppy"); // cmp ah, 4Ah; jb
    a.db(0x80, 0xfc, 0x4d).short(0x76, "int13_disk"); // cmp ah, 4Dh; jbe
    a.label("int13_floppy");
    a.db(0x50, 0x50, 0x55, 0x1e, 0x50, 0x89, 0xe5); // push ax twice (room for CS:IP); push bp; push ds; push ax; mov bp, sp
    a.db(0x31, 0xc0, 0x8e, 0xd8); // xor ax, ax; mov ds, ax
    a.db(0xa1, 0x00, 0x01, 0x89, 0x46, 0x06); // mov ax, [100h]; mov [bp+6], ax
    a.db(0xa1, 0x02, 0x01, 0x89, 0x46, 0x08); // mov ax, [102h]; mov [bp+8], ax
    a.db(0x58, 0x1f, 0x5d, 0xcb); // pop ax; pop ds; pop bp; retf
    a.label("int13_disk");
    this.#stub(0x13);
  }

  /**
   * What an interpreter comes to: its registers go on its stack, the frame's linear address to the trap port as one double word, and what the
   * service left is taken from there. `FrameRegisters` knows the frame.
   */
  #interpreted(): void {
    const a = this.#a;
    for (const vector of INTERPRETED) a.label(interpreted(vector)).db(0x68).dw(vector).jmp("interpreted"); // push vector; jmp
    a.label("interpreted");
    a.db(0x66, 0x60, 0x1e, 0x06); // pushad; push ds; push es
    a.db(0x66, 0x31, 0xc0, 0x8c, 0xd0, 0x66, 0xc1, 0xe0, 0x04); // xor eax, eax; mov ax, ss; shl eax, 4
    a.db(0x66, 0x31, 0xd2, 0x89, 0xe2, 0x66, 0x01, 0xd0); // xor edx, edx; mov dx, sp; add eax, edx
    a.db(0x66, 0xe7, BIOS_TRAP_PORT); // out port, eax
    a.db(0x07, 0x1f, 0x66, 0x61, 0x83, 0xc4, 0x02, 0xcf); // pop es; pop ds; popad; add sp, 2; iret
  }

  #boot(): void {
    const a = this.#a;
    a.label("post");
    a.db(0xfa, 0xfc); // cli; cld
    this.#trap(TRAP.POST);
    a.label("park").db(0xfa, 0xf4).short(0xeb, "park"); // cli; hlt; jmp park: a machine reset was asked for
    // POST is done: video first, then expansion ROMs, then bootstrap.
    a.label("post_done");
    a.db(0xb8, 0x03, 0x00, 0xcd, 0x10); // mov ax, 3; int 10h
    a.db(0xbe, 0x00, 0xc0); // mov si, C000h
    a.label("rom_scan");
    this.#trap(TRAP.OPTION_ROM); // SI = segment to look at; pushes nothing; BX:AX... AX = entry offset or 0, SI = next segment
    a.db(0x09, 0xc0).short(0x74, "rom_none"); // or ax, ax; jz
    a.db(0x56); // push si
    a.db(0x0e).db(0x68).offsetOf("rom_back"); // push cs; push rom_back
    a.db(0x53, 0x50, 0xcb); // push bx; push ax; retf
    a.label("rom_back").db(0x5e).short(0xeb, "rom_scan"); // pop si; jmp
    a.label("rom_none");
    a.db(0xfb, 0xcd, 0x19); // sti; int 19h
    a.label("int18");
    this.#stub(TRAP.BOOT_NEXT);
    a.label("int19");
    this.#stub(TRAP.BOOT_FIRST); // goes on in the boot sector, or here when there is none
    a.label("no_boot");
    a.db(0xfb, 0xfc, 0x0e, 0x1f); // sti; cld; push cs; pop ds
    a.db(0xbe).offsetOf("no_boot_text"); // mov si, text
    a.label("no_boot_char").db(0xac, 0x08, 0xc0).short(0x74, "no_boot_key"); // lodsb; or al, al; jz
    a.db(0xb4, 0x0e, 0xbb, 0x07, 0x00, 0xcd, 0x10).short(0xeb, "no_boot_char"); // mov ah, 0Eh; mov bx, 7; int 10h
    a.label("no_boot_key").db(0x31, 0xc0, 0xcd, 0x16).short(0xeb, "int19"); // xor ax, ax; int 16h; jmp int19
    a.label("no_boot_text").text("\r\nNo bootable device. Insert one and press any key.\r\n").db(0);
  }

  #timer(): void {
    const a = this.#a;
    a.label("int08");
    a.db(0x50, 0x52, 0x1e); // push ax; push dx; push ds
    this.#trap(0x08);
    a.db(0xb8, 0x40, 0x00, 0x8e, 0xd8); // mov ax, 40h; mov ds, ax
    a.db(0xcd, 0x1c, 0xfa); // int 1Ch; cli
    a.db(0xb0, 0x20, 0xe6, 0x20); // mov al, 20h; out 20h, al
    a.db(0x1f, 0x5a, 0x58, 0xcf); // pop ds; pop dx; pop ax; iret
    // IRQ8: RTC. The trap reads register C and leaves the alarm flag in AL.
    a.label("int70");
    a.db(0x50); // push ax
    this.#trap(TRAP.RTC);
    a.db(0xa8, 0x20).short(0x74, "int70_eoi"); // test al, 20h; jz
    a.db(0xcd, 0x4a, 0xfa); // int 4Ah; cli
    a.label("int70_eoi").db(0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf); // EOI both; pop ax; iret
  }

  #keyboard(): void {
    const a = this.#a;
    a.label("int09");
    a.db(0x66, 0x60, 0x1e, 0x06, 0xfc); // pushad; push ds; push es; cld
    a.db(0xe4, 0x64, 0x24, 0x21, 0x3c, 0x21).short(0x74, "key_eoi"); // a mouse byte is not ours
    a.db(0xe4, 0x60); // in al, 60h
    a.db(0xb4, 0x4f, 0xf9, 0xcd, 0x15).short(0x73, "key_eoi"); // mov ah, 4Fh; stc; int 15h; jnc
    this.#trap(TRAP.KEY); // AL = scan code; AH = what is left to do
    a.db(0x08, 0xe4).short(0x74, "key_eoi"); // or ah, ah; jz
    a.db(0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58); // push ax; EOI; pop ax
    a.db(0xfe, 0xcc).short(0x74, "key_break"); // dec ah
    a.db(0xfe, 0xcc).short(0x74, "key_print");
    a.db(0xfe, 0xcc).short(0x74, "key_sysreq");
    a.db(0xfe, 0xcc).short(0x74, "key_pause");
    a.db(0xfa, 0xea).dw(ENTRY.RESET, 0xf000); // Ctrl-Alt-Del: cli; jmp F000:FFF0
    a.label("key_break").db(0xcd, 0x1b).short(0xeb, "key_exit"); // int 1Bh
    a.label("key_print").db(0xcd, 0x05).short(0xeb, "key_exit"); // int 05h
    a.label("key_sysreq").db(0xb4, 0x85, 0xcd, 0x15).short(0xeb, "key_exit"); // AL = 0 make, 1 break
    a.label("key_pause").db(0xb8, 0x40, 0x00, 0x8e, 0xd8); // mov ax, 40h; mov ds, ax
    a.label("key_paused").db(0xfb, 0xf4, 0xf6, 0x06, 0x18, 0x00, 0x08).short(0x75, "key_paused"); // sti; hlt; test byte [18h], 8
    a.short(0xeb, "key_exit");
    a.label("key_eoi").db(0xb0, 0x20, 0xe6, 0x20);
    a.label("key_exit").db(0xfa, 0x07, 0x1f, 0x66, 0x61, 0xcf); // cli; pop es; pop ds; popad; iret
  }

  /** INT 05h: prints the screen by INT 10h and 17h; state at 50:0 (0 idle, 1 busy, FF failed). */
  #printScreen(): void {
    const a = this.#a;
    a.label("int05");
    a.db(0xfb, 0x1e, 0x60, 0xb8, 0x40, 0x00, 0x8e, 0xd8); // sti; push ds; pusha; ds = 40h
    a.db(0xb0, 0x01, 0x86, 0x06, 0x00, 0x01, 0x3c, 0x01).short(0x74, "ps_out"); // mov al, 1; xchg [100h], al; cmp al, 1
    a.db(0xb4, 0x0f, 0xcd, 0x10, 0x88, 0xe1); // INT 10h/0F: BH page; mov cl, ah = columns
    a.db(0x8a, 0x2e, 0x84, 0x00, 0x08, 0xed).short(0x75, "ps_rows"); // mov ch, [84h]; or ch, ch
    a.db(0xb5, 0x18); // mov ch, 24
    a.label("ps_rows").db(0xfe, 0xc5); // inc ch
    a.db(0x51, 0xb4, 0x03, 0xcd, 0x10, 0x59, 0x52); // push cx; INT 10h/03; pop cx; push dx = cursor
    a.db(0x31, 0xd2).call("ps_newline").short(0x75, "ps_fail"); // xor dx, dx
    a.label("ps_char");
    a.db(0xb4, 0x02, 0xcd, 0x10, 0xb4, 0x08, 0xcd, 0x10); // set cursor; read character
    a.db(0x08, 0xc0).short(0x75, "ps_put"); // or al, al
    a.db(0xb0, 0x20); // mov al, ' '
    a.label("ps_put").call("ps_byte").short(0x75, "ps_fail");
    a.db(0xfe, 0xc2, 0x38, 0xca).short(0x72, "ps_char"); // inc dl; cmp dl, cl; jb
    a.call("ps_newline").short(0x75, "ps_fail");
    a.db(0x30, 0xd2, 0xfe, 0xc6, 0x38, 0xee).short(0x72, "ps_char"); // xor dl, dl; inc dh; cmp dh, ch; jb
    a.db(0x30, 0xc0).short(0xeb, "ps_end"); // xor al, al
    a.label("ps_fail").db(0xb0, 0xff); // mov al, FFh
    a.label("ps_end").db(0x5a, 0x50, 0xb4, 0x02, 0xcd, 0x10, 0x58); // pop dx; push ax; set cursor; pop ax
    a.db(0xa2, 0x00, 0x01); // mov [100h], al
    a.label("ps_out").db(0x61, 0x1f, 0xcf); // popa; pop ds; iret
    // CR LF; NZ when the printer failed.
    a.label("ps_newline").db(0xb0, 0x0d).call("ps_byte").short(0x75, "ps_ret");
    a.db(0xb0, 0x0a); // falls into ps_byte
    a.label("ps_byte").db(0x52, 0x31, 0xd2, 0x30, 0xe4, 0xcd, 0x17, 0x5a); // push dx; xor dx, dx; xor ah, ah; int 17h; pop dx
    a.db(0xf6, 0xc4, 0x29); // test ah, 29h: time-out, error, out of paper
    a.label("ps_ret").db(0xc3);
  }

  #hardware(): void {
    const a = this.#a;
    a.label("irq_master").db(0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf); // push ax; EOI; pop ax; iret
    a.label("irq_slave").db(0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf);
    // IRQ7 and IRQ15 may be spurious: then the ISR bit is clear and that chip wants no EOI.
    a.label("irq7").db(0x50, 0xb0, 0x0b, 0xe6, 0x20, 0xe4, 0x20, 0xa8, 0x80).short(0x74, "irq7_end"); // OCW3: read ISR
    a.db(0xb0, 0x20, 0xe6, 0x20);
    a.label("irq7_end").db(0x58, 0xcf);
    a.label("irq15").db(0x50, 0xb0, 0x0b, 0xe6, 0xa0, 0xe4, 0xa0, 0xa8, 0x80, 0xb0, 0x20).short(0x74, "irq15_end");
    a.db(0xe6, 0xa0);
    a.label("irq15_end").db(0xe6, 0x20, 0x58, 0xcf);
    // IRQ6: the floppy controller finished.
    a.label("int0e").db(0x50, 0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, 0x80, 0x0e, 0x3e, 0x00, 0x80); // or byte [3Eh], 80h
    a.db(0x1f, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf);
    // IRQ9 is what the old IRQ2 handlers expect.
    a.label("int71").db(0x50, 0xb0, 0x20, 0xe6, 0xa0, 0x58, 0xcd, 0x0a, 0xcf); // EOI slave; int 0Ah; iret
    // IRQ13: the FPU's error goes to NMI, as on the PC.
    a.label("int75").db(0x50, 0x30, 0xc0, 0xe6, 0xf0, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcd, 0x02, 0xcf);
    // IRQ14: the fixed disk finished.
    a.label("int76").db(0x50, 0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, 0xc6, 0x06, 0x8e, 0x00, 0xff); // mov byte [8Eh], FFh
    a.db(0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x1f, 0xb8, 0x00, 0x91, 0xcd, 0x15, 0x58, 0xcf); // EOI; 15h/9100h
  }

  /** IRQ12. The trap takes the byte; with a packet complete it leaves SI = 1 and status, X, Y, Z in AX, BX, CX, DX. */
  #mouse(): void {
    const a = this.#a;
    a.label("int74");
    a.db(0x66, 0x60, 0x1e, 0x06); // pushad; push ds; push es
    this.#trap(TRAP.MOUSE); // DS = EBDA
    a.db(0x09, 0xf6).short(0x74, "mouse_eoi"); // or si, si
    a.db(0x50, 0x53, 0x51, 0x52); // push status, X, Y, Z
    a.db(0xff, 0x1e, 0x22, 0x00); // call far [22h]
    a.db(0x83, 0xc4, 0x08, 0xfa); // add sp, 8; cli
    a.label("mouse_eoi").db(0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x07, 0x1f, 0x66, 0x61, 0xcf);
    a.label("mouse_nothing").db(0xcb); // the far handler before anyone installs one: retf
  }

  #farEntries(): void {
    this.#a.align(16);
    this.#far("bios32", TRAP.BIOS32);
    this.#a.align(16);
    this.#far("pci32", TRAP.PCI32);
    this.#a.align(16);
    this.#far("apm16", TRAP.APM16);
    this.#a.align(16);
    this.#far("apm32", TRAP.APM32);
  }
}
