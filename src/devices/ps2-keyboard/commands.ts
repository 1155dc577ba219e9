/** What the host may send. Source: IBM PS/2 hardware technical reference, "Keyboards", commands from the system. */
export const COMMAND = {
  SET_LEDS: 0xed,
  ECHO: 0xee,
  SCAN_CODE_SET: 0xf0,
  IDENTIFY: 0xf2,
  RATE: 0xf3,
  ENABLE: 0xf4,
  DEFAULTS_AND_STOP: 0xf5,
  DEFAULTS: 0xf6,
  ALL_TYPEMATIC: 0xf7,
  ALL_MAKE_BREAK: 0xf8,
  ALL_MAKE: 0xf9,
  ALL_TYPEMATIC_MAKE_BREAK: 0xfa,
  KEY_TYPEMATIC: 0xfb,
  KEY_MAKE_BREAK: 0xfc,
  KEY_MAKE: 0xfd,
  RESEND: 0xfe,
  RESET: 0xff,
} as const;

/** What the keyboard answers. */
export const ANSWER = { ACK: 0xfa, RESEND: 0xfe, PASSED: 0xaa, ECHO: 0xee, ID: [0xab, 0x83] } as const;
