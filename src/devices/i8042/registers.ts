/** Source: IBM PC/AT Technical Reference, "Keyboard Controller"; Intel 8242 data sheet. */

/** Status register, port 64h. */
export const STATUS_OBF = 0x01;
export const STATUS_SYSTEM = 0x04;
export const STATUS_COMMAND = 0x08;
export const STATUS_UNLOCKED = 0x10;
export const STATUS_AUX_OBF = 0x20;

/** Command byte, RAM byte 0. */
export const CB_KEYBOARD_IRQ = 0x01;
export const CB_AUX_IRQ = 0x02;
export const CB_SYSTEM = 0x04;
export const CB_KEYBOARD_OFF = 0x10;
export const CB_AUX_OFF = 0x20;
export const CB_TRANSLATE = 0x40;

/** Output port. */
export const OUT_RESET = 0x01;
export const OUT_A20 = 0x02;
export const OUT_KEYBOARD_IRQ = 0x10;
export const OUT_AUX_IRQ = 0x20;
