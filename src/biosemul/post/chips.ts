import { PORT, UART_REGISTER } from "../../isa/index.ts";
import type { BiosContext, PortIo } from "../api.ts";
import type { BiosConfig } from "../config.ts";
import { RTC, readCmos, writeCmos } from "../int/int70.ts";

const DRAIN_LIMIT = 64;
/** Master clears of both controllers; mode and single mask of the second, whose registers are two ports apart. */
const DMA = { RESET1: PORT.DMA1 + 0x0d, RESET2: PORT.DMA2 + 0x1a, MODE2: PORT.DMA2 + 0x16, MASK2: PORT.DMA2 + 0x14 } as const;

/** Brings the board's chips to their state after POST, by their ports. Source: IBM PC AT technical reference; chip data sheets. */
export function initChips(ctx: BiosContext, config: BiosConfig): void {
  const { ports } = ctx;
  initInterruptControllers(ports);
  initTimer(ports);
  initDma(ports);
  initClock(ctx);
  initKeyboard(ports, config);
  ports.out8(PORT.SYSTEM_B, ports.in8(PORT.SYSTEM_B) & 0xfc); // speaker off
  ports.out8(PORT.SYSTEM_A, (ports.in8(PORT.SYSTEM_A) | 0x02) & 0xfe); // A20 open, as every BIOS of the last decades leaves it
  ports.out8(PORT.FDC_DOR, 0x0c); // diskette controller out of reset, DMA and interrupts on
  ports.out8(PORT.FPU_RESET, 0); // FPU reset
  for (const base of config.comPorts) {
    if (base === 0) continue;
    ports.out8(base + UART_REGISTER.IER, 0);
    ports.out8(base + UART_REGISTER.MCR, 0);
  }
  for (const base of config.lptPorts) if (base !== 0) ports.out8(base + 2, 0x0c);
}

/** ICW1-4: edge triggered, cascade on IRQ2, vectors 08h and 70h. Open: timer, keyboard, cascade, diskette; mouse, FPU, disks. */
function initInterruptControllers(ports: PortIo): void {
  ports.out8(PORT.PIC1, 0x11);
  ports.out8(PORT.PIC1_DATA, 0x08);
  ports.out8(PORT.PIC1_DATA, 0x04);
  ports.out8(PORT.PIC1_DATA, 0x01);
  ports.out8(PORT.PIC2, 0x11);
  ports.out8(PORT.PIC2_DATA, 0x70);
  ports.out8(PORT.PIC2_DATA, 0x02);
  ports.out8(PORT.PIC2_DATA, 0x01);
  ports.out8(PORT.PIC1_DATA, 0xb8);
  ports.out8(PORT.PIC2_DATA, 0x0f);
}

/** Channel 0: 18.2 Hz, mode 3; channel 1: refresh; channel 2: 896 Hz beep, gated off. */
function initTimer(ports: PortIo): void {
  ports.out8(PORT.PIT_CONTROL, 0x36);
  ports.out8(PORT.PIT, 0);
  ports.out8(PORT.PIT, 0);
  ports.out8(PORT.PIT_CONTROL, 0x54);
  ports.out8(PORT.PIT_REFRESH, 0x12);
  ports.out8(PORT.PIT_CONTROL, 0xb6);
  ports.out8(PORT.PIT_SPEAKER, 0x33);
  ports.out8(PORT.PIT_SPEAKER, 0x05);
}

function initDma(ports: PortIo): void {
  ports.out8(DMA.RESET1, 0);
  ports.out8(DMA.RESET2, 0);
  ports.out8(DMA.MODE2, 0xc0); // channel 4 cascades
  ports.out8(DMA.MASK2, 0x00);
}

function initClock(ctx: BiosContext): void {
  writeCmos(ctx, RTC.A, 0x26);
  writeCmos(ctx, RTC.B, (readCmos(ctx, RTC.B) & 0x01) | 0x02); // 24 hours, BCD, no interrupts
  readCmos(ctx, RTC.C);
  readCmos(ctx, RTC.D);
  writeCmos(ctx, 0x0e, 0);
}

function drain(ports: PortIo): void {
  for (let i = 0; i < DRAIN_LIMIT && (ports.in8(PORT.KBC_STATUS) & 1) !== 0; i++) ports.in8(PORT.KBC_DATA);
}

/**
 * The controller answers in guest time, which does not pass here: so no self-tests, whose replies would reach the guest as
 * keys. A keyboard scans from power-on.
 */
function initKeyboard(ports: PortIo, config: BiosConfig): void {
  drain(ports);
  ports.out8(PORT.KBC_STATUS, 0x60);
  ports.out8(PORT.KBC_DATA, config.mouse ? 0x65 : 0x45);
  ports.out8(PORT.KBC_STATUS, 0xae);
}
