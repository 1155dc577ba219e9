/**
 * What can be wrong on the host's side, for programs that tell errors apart: `error.code`. A code keeps its meaning; the words of the message do not.
 * docs/errors.md is made from this table.
 */
export const ERROR_CODES = {
  API_ARGUMENT: "an argument of a call is none that it takes",

  CONFIG_BOOT: "the boot order names what is no boot device, or nothing that the machine has",
  CONFIG_CLOCK: "`clock`, `nsPerInstruction` or `idleSkipMs` is out of range",
  CONFIG_CPUS: "a machine has 1 to 16 CPUs",
  CONFIG_DRIVES: "no medium is given, or more or others than the machine has room for",
  CONFIG_ENGINE: "`engine` is none",
  CONFIG_MEMORY: "memory is a whole number of MiB between 1 MiB and 3 GiB",
  CONFIG_NET: "`net` is no network, or its address no card's",
  CONFIG_OPTIONS: "an option does not exist, or has a value of the wrong kind",
  CONFIG_RTC: "the start time is no date",
  CONFIG_SERIAL: "more serial lines or consoles than there is room for, or one that is no backend",
  CONFIG_SHARES: "more shared directories than there is room for, or one without tag or place",
  CONFIG_TESTDEV: "a port of `isaDebugExit` is out of range or taken",
  CONFIG_TRAP_STYLE: "`trapStyle` is none",
  CONFIG_TRIPLE_FAULT: "`tripleFault` is none",

  ENGINE_TRAIT: "the engine cannot do what is asked of it",

  FILE_EXISTS: "a file is there already, and replacing it was not asked for",
  FILE_UNWRITABLE: "a file cannot be made or written",

  IMAGE_BACKING: "what an image is based on cannot be used: a loop, a wrong identity, a file that it must not name",
  IMAGE_CORRUPT: "an image says of itself that it is damaged, or cannot be repaired",
  IMAGE_EMPTY: "an image has no bytes",
  IMAGE_ENCRYPTED: "an image is encrypted",
  IMAGE_FORMAT: "the structures of an image contradict each other",
  IMAGE_IO: "the host cannot read or write an image",
  IMAGE_IS_DIRECTORY: "a directory stands where an image is to be",
  IMAGE_LOCKED: "somebody else writes the image, or uses what is to be written",
  IMAGE_NOT_A_DISK: "a file is something else: an archive, a program, a web page",
  IMAGE_NOT_A_FILE: "neither a file nor a block device",
  IMAGE_NOT_FOUND: "there is no such file",
  IMAGE_PACKED: "an image is compressed and to be written, or does not unpack",
  IMAGE_READ_ONLY: "an image, or its format, cannot be written",
  IMAGE_SIZE: "no possible size of a disk",
  IMAGE_TOO_LARGE: "larger than a PC can address, or than is unpacked",
  IMAGE_UNREADABLE: "the host does not let the file be read",
  IMAGE_UNSUPPORTED: "a format, or a feature of one, that is not supported",

  KERNEL_COMMAND_LINE: "a kernel's command line is too long for it",
  KERNEL_FILE: "a kernel or initrd cannot be read",
  KERNEL_FORMAT: "no kernel that is known, or a damaged one",
  KERNEL_MEMORY: "a kernel or initrd does not fit into memory",

  KEY_UNKNOWN: "no key has that name, or no key types that character",

  MACHINE_CPU: "the machine has no such CPU",
  MACHINE_DRIVE: "the machine has no such removable drive",
  MACHINE_ENDED: "the machine has ended, or was disposed of",
  MACHINE_EXIT: "the engine gave an exit that the machine cannot answer: a mistake of ours, or of an engine of your own",
  MACHINE_STATE: "the machine is in another state than the call needs",

  NET_ADDRESS: "nothing can listen on that address",
  NET_LISTEN: "a forwarded port cannot be listened on",
  NET_PORT_DENIED: "the host does not permit that port",
  NET_PORT_IN_USE: "a forwarded port is in use",
  NET_TAP: "a TAP interface cannot be opened",
  NET_TAP_BUSY: "a TAP interface is in use",
  NET_TAP_DENIED: "a TAP interface needs rights that this process has not",
  NET_TAP_DEVICE: "the host has no /dev/net/tun",
  NET_TAP_KIND: "an interface of that name is no TAP interface",
  NET_TAP_KOFFI: "the optional package koffi is not installed",
  NET_TAP_NAME: "no possible name of an interface",
  NET_TAP_PLATFORM: "TAP interfaces are Linux's",

  SHARE_NOT_DIRECTORY: "what is to be shared is no directory",
  SHARE_UNREADABLE: "a directory that is to be shared cannot be opened",

  SNAPSHOT_DISK: "a snapshot's disk is missing, is another, or has changed",
  SNAPSHOT_FILE: "a snapshot cannot be read",
  SNAPSHOT_FORMAT: "no snapshot, or a damaged one",
  SNAPSHOT_MACHINE: "a snapshot is of a machine with other devices",
  SNAPSHOT_TOO_LARGE: "more than a snapshot holds",
  SNAPSHOT_VERSION: "a snapshot of another version of whyve",

  SOCKET_UNUSABLE: "a serial line's socket cannot be listened on",

  VMM_BUS_OVERLAP: "two devices want the same addresses",
  VMM_BUS_RANGE: "a device wants addresses that do not exist",
  VMM_CPUS: "an engine cannot have so many CPUs",
  VMM_REGION_TWICE: "two regions of memory have one name",
  VMM_SLOT_ALIGN: "a memory slot is not aligned to pages",
  VMM_STATE: "the virtual machine is in another state than the call needs",

  WAIT_OPTIONS: "a wait for no pattern, or for no time",
  WAIT_REJECTED: "what a wait was to fail on has shown",
  WAIT_TIMEOUT: "what was waited for did not show in time",
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** The table as a page. */
export function errorsMarkdown(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`);
  return `<!-- Generated by tools/docs.mjs from src/base/error-codes.ts. Do not edit. -->

# Errors

Mistakes of the host's side (a configuration, a file, a call) are \`VmmError\`s: one line in \`message\`, one of these in \`code\`. A code keeps its meaning from
version to version, the words do not. What a guest does wrong is no error but the end of its machine (\`vm.ended\`).

| \`code\` | what is wrong |
| --- | --- |
${rows.join("\n")}
`;
}
