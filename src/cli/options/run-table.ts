import type { OptionTable } from "./options.ts";

/** Flags of `whyve run`. Stable: bhyve's own grammar lives under `whyve bhyve`. */
export const RUN_OPTIONS = {
  hd: {
    value: "FILE[,bus=virtio|ide][,format=FORMAT]",
    multiple: true,
    group: "Media",
    help: "hard disk image (repeatable: 80h, 81h, ...); four drives fit\non ide (default), 16 on virtio; the BIOS boots from both;\nthe format is detected unless stated",
  },
  fd: { value: "FILE[,format=...]", multiple: true, group: "Media", help: "floppy image (repeatable: A:, B:)" },
  cd: { value: "FILE[,format=...]", multiple: true, group: "Media", help: "CD image (ISO 9660)" },
  format: {
    value: "FORMAT",
    group: "Media",
    help: `format of images that state none: raw, qcow2, vhd, vmdk, vdi or vhdx\n(default: detected; vmdk, vdi, vhdx and gz, xz, zst files are only read)`,
  },
  boot: { value: "hd|fd|cd", group: "Media", help: "first boot device, or an order: cd,hd; hd1: the second hard disk (they\ncount from 0)" },
  "snapshot-disk": { group: "Media", help: "keep the guest's writes in memory, never in the image" },
  "read-only": { group: "Media", help: "write-protect every image" },

  mem: { value: "SIZE", group: "Machine", help: "guest memory, for example 64M or 1G (default 256M)" },
  cpus: { value: "N", group: "Machine", help: "number of CPUs, 1 to 16 (default 1)" },
  engine: { value: "soft|auto[,jit=on|off]", group: "Machine", help: "CPU engine (auto: soft); jit: with the translator (kvm: not yet)" },
  clock: {
    value: "host|virtual[,ns=N]",
    group: "Machine",
    help: "host: time passes as on the wall (default)\nvirtual: time is the instruction count (one takes N ns, default 50: a 486),\nidle time is skipped, the same disk and keys give the same run\n(with a person and no script: a minute of it after each key)",
  },
  rtc: {
    value: "TIME",
    group: "Machine",
    help: "clock at power-on: utc, local, or 2026-01-31T12:00:00\n(default: local; under --clock virtual 2026-01-01)",
  },
  "trap-style": { value: "vmcall|port", group: "Machine", help: "how BIOS stubs reach the host (port: for guests that interpret them)" },
  share: {
    value: "DIR[,tag=NAME][,ro]",
    multiple: true,
    group: "Media",
    help: "a directory for the guest: mount -t 9p -o trans=virtio share /mnt\n(tags: share, share2, ...; ro: read-only)",
  },
  rng: { group: "Machine", help: "a virtio entropy source (repeatable bytes under --clock virtual)" },
  "no-reboot": { group: "Machine", help: "a reset by the guest ends the run" },
  name: { value: "NAME", group: "Machine", help: "what messages and whyve ctl call the machine" },
  restore: {
    value: "FILE",
    group: "Machine",
    help: "go on where whyve ctl NAME save FILE was done; disks are looked for\nwhere they were, unless images are given in their order",
  },

  display: {
    value: "terminal|none",
    group: "Screen, keyboard, serial",
    help: "terminal: draw the screen here (default on a terminal; Ctrl-] opens a menu)\nnone: nothing is drawn (web: not yet)",
  },
  serial: {
    value: "stdio|null|file:PATH|unix:PATH|tcp:HOST:PORT",
    multiple: true,
    group: "Screen, keyboard, serial",
    help: "where COM1 goes (repeatable: COM2, ...); unix, tcp: listens there for\none client at a time (socat -,raw,echo=0 UNIX:PATH; nc HOST PORT);\nstdio: Ctrl-] and q end the run, Ctrl-] twice sends it",
  },
  console: {
    value: "stdio|null|file:PATH|unix:PATH|tcp:HOST:PORT",
    multiple: true,
    group: "Screen, keyboard, serial",
    help: "where the virtio console hvc0 goes (repeatable: hvc1, ...)",
  },
  "debug-port": { value: "stdio|file:PATH", group: "Screen, keyboard, serial", help: "where bytes written to port E9h go" },
  "isa-debug-exit": {
    value: "PORT",
    group: "Automation",
    help: "for guests that are tests: OUT to PORT (0xf4, 0x501) ends the run with exit code\n(value << 1) | 1, as QEMU's isa-debug-exit",
  },
  "pc-testdev": { group: "Automation", help: "QEMU's pc-testdev, for kvm-unit-tests and the like" },
  printer: { value: "file:PATH", group: "Screen, keyboard, serial", help: "where LPT1 prints" },

  kernel: { value: "FILE", group: "Direct boot", help: "start this kernel instead of a boot sector: Linux bzImage, multiboot 1 or 2" },
  initrd: {
    value: "FILE",
    multiple: true,
    group: "Direct boot",
    help: "initial ramdisk (several are joined); multiboot: a module, 'FILE ARGUMENTS'",
  },
  append: { value: "TEXT", group: "Direct boot", help: "the kernel's command line" },
  "linux-entry": { value: "16|32|64", group: "Direct boot", help: "Linux boot protocol: real-mode code (default), 32-bit, 64-bit" },

  until: { value: "REGEX", group: "Automation", help: "end with exit code 0 when screen or serial output matches" },
  type: {
    value: "'REGEX=>TEXT'",
    multiple: true,
    group: "Automation",
    help: "when REGEX matches, type TEXT (in order; \\n, \\t, \\e, {F1}, {ctrl-alt-del};\n{{ is a brace; an empty REGEX types at once)",
  },
  "fail-on": { value: "REGEX", multiple: true, group: "Automation", help: "end with exit code 2 when screen or serial output matches" },
  timeout: { value: "SECONDS", group: "Automation", help: "give up after this time: screen text on stderr, exit code 3" },
  screenshot: { value: "FILE.png", group: "Automation", help: "write the screen as PNG at the end" },
  artefacts: {
    value: "DIR",
    group: "Automation",
    help: "when the run fails (exit codes 2 and 3): write screen, picture, serial\noutput, registers and the last BIOS calls into this directory",
  },
  "dump-screen": { group: "Automation", help: "print the text screen at the end" },

  trace: {
    value: "WHAT[=FILE]",
    multiple: true,
    group: "Tracing",
    help: "bios: BIOS calls with results; io: port and device memory accesses;\nexits: VM exits; insn: instructions with changed registers,\ninsn:mode=16,addr=7c00-7dff filters (to stderr without FILE)",
  },

  net: {
    value: "none|user[,...]|tap[,...]",
    group: "Network",
    help: "user: a network of its own with DHCP and DNS, out through this program\n  hostfwd=tcp|udp:[HOSTADDR:]PORT-[GUESTADDR:]PORT (repeatable; HOSTADDR\n  is 127.0.0.1), loopback=on (10.0.2.2 is this computer; off: it cannot be\n  reached), restrict=on (no way out), mac=ADDRESS\ntap: a Linux TAP interface: ifname=tap0, mac=ADDRESS\n(default: none, no network card)",
  },
  help: { short: "h", group: "Help", help: "this page" },
} as const satisfies OptionTable;
