import { PORT } from "../isa/index.ts";

/** What the firmware must know about the machine it runs on; the machine's configuration is the truth, not the chips. */
export interface BiosConfig {
  /** All RAM, below and above 4 GiB together. */
  readonly ramBytes: number;
  /** RAM from here up is at 4 GiB; a multiple of 64 KiB, at most FEC00000h. */
  readonly lowRamLimit: number;
  /** I/O bases, COM1 first; 0 or missing: absent. */
  readonly comPorts: readonly number[];
  /** I/O bases, LPT1 first. */
  readonly lptPorts: readonly number[];
  /** CMOS types of floppy drives 0 and 1 (0 absent, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M). */
  readonly floppyTypes: readonly number[];
  readonly cpus: number;
  readonly mouse: boolean;
  readonly fpu: boolean;
  readonly pci: boolean;
  readonly lastPciBus: number;
  /** IRQs of PIRQA#..PIRQD#; pin P (0 = INTA#) of slot S is PIRQ (P + S - 1) mod 4. */
  readonly pirqIrqs: readonly [number, number, number, number];
  /** Slot of the PCI-ISA bridge (function 0), whose registers 60h-63h route the PIRQs; undefined: none. */
  readonly isaBridgeSlot: number | undefined;
  /** Local APICs and an I/O APIC at the standard addresses exist: MADT and MP tables are made. */
  readonly apic: boolean;
  readonly hpet: boolean;
  /** ACPI tables are made when true. */
  readonly acpi: boolean;
  /** ACPI power management block (PIIX4 layout): PM1a event at +0, control at +4, timer at +8, GPE0 at +0Ch. */
  readonly pmBase: number;
  /** SMI command port (PIIX4: B2h) with the bytes that turn ACPI mode on and off; 0: the machine is always in ACPI mode. */
  readonly smiCommandPort: number;
  readonly acpiEnable: number;
  readonly acpiDisable: number;
  /** ACPI reset register (port, value). */
  readonly resetPort: number;
  readonly resetValue: number;
  /** SLP_TYP value of state S3: suspend to RAM. */
  readonly s3SleepType: number;
  /** SLP_TYP value of state S5 in PM1 control (PIIX4 in QEMU: 0; bhyve: 5). */
  readonly s5SleepType: number;
  /** SCI interrupt. */
  readonly sciIrq: number;
  /** PCI memory window for BARs below 4 GiB: [start, end). */
  readonly pciMemStart: number;
  readonly pciMemEnd: number;
  /** Processor brand and the like, for SMBIOS. */
  readonly productName: string;
  /** 16 bytes; SMBIOS UUID. */
  readonly uuid: Uint8Array;
  /** How the stubs leave the guest: VMCALL as in the paper, or an OUT for engines without VMCALL. */
  readonly trapStyle: TrapStyle;
  /** Devices in the order INT 19h tries them. */
  readonly bootOrder: readonly BootDevice[];
}

/** How a stub reaches the host: the VMCALL instruction, or an OUT to the trap port. */
export type TrapStyle = "vmcall" | "port";
/** What INT 19h looks for: a class of drives, or one drive of it. */
export type BootDevice = "floppy" | "hard-disk" | "cdrom" | { readonly kind: "floppy" | "hard-disk" | "cdrom"; readonly unit: number };

/** A small PC with one serial port; a machine says what differs. */
export const DEFAULT_BIOS_CONFIG: BiosConfig = {
  ramBytes: 64 * 1024 * 1024,
  lowRamLimit: 0xc0000000,
  comPorts: [PORT.COM1],
  lptPorts: [],
  floppyTypes: [],
  cpus: 1,
  mouse: true,
  fpu: true,
  pci: false,
  lastPciBus: 0,
  pirqIrqs: [10, 11, 10, 11],
  isaBridgeSlot: 1,
  apic: false,
  hpet: false,
  acpi: false,
  pmBase: 0x600,
  smiCommandPort: 0xb2,
  acpiEnable: 0xa0,
  acpiDisable: 0xa1,
  resetPort: PORT.RESET_CONTROL,
  resetValue: 6,
  s3SleepType: 1,
  s5SleepType: 5,
  sciIrq: 9,
  pciMemStart: 0xe8000000,
  pciMemEnd: 0xfec00000,
  productName: "whyve virtual PC",
  uuid: new Uint8Array(16),
  trapStyle: "vmcall",
  bootOrder: ["floppy", "hard-disk", "cdrom"],
};
