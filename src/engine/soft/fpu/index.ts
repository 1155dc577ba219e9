import { CR0, VECTOR } from "../../../isa/index.ts";
import type { Cpu, SystemHelper } from "../cpu.ts";
import { ARITHMETIC } from "./arith.ts";
import { emms, NO_WAIT, WAITING_CONTROL } from "./control.ts";
import { type Body, control, noWait, waitForErrors, waiting } from "./stack.ts";
import { IMAGES } from "./image.ts";
import { TRANSCENDENTAL } from "./transcendental.ts";
import { TRANSFER } from "./transfer.ts";

function wrap(bodies: Readonly<Record<string, Body>>, how: (body: Body) => SystemHelper): [string, SystemHelper][] {
  return Object.entries(bodies).map(([name, body]) => [name, how(body)]);
}

/** WAIT/FWAIT: #NM only when the monitor bit says so too. */
const fwait: SystemHelper = (cpu: Cpu) => {
  if ((cpu.cr0 & (CR0.MP | CR0.TS)) === (CR0.MP | CR0.TS)) cpu.raise(VECTOR.NM);
  return waitForErrors(cpu) ? "next" : "repeat";
};
const emmsHelper: SystemHelper = (cpu: Cpu) => {
  if ((cpu.cr0 & CR0.EM) !== 0) cpu.ud();
  if ((cpu.cr0 & CR0.TS) !== 0) cpu.raise(VECTOR.NM);
  if (!waitForErrors(cpu)) return "repeat";
  emms(cpu);
  return "next";
};

/** x87 instructions by the semantic name of their opcode row. */
export const FPU: Readonly<Record<string, SystemHelper>> = {
  ...Object.fromEntries([
    ...wrap(ARITHMETIC, waiting),
    ...wrap(TRANSFER, waiting),
    ...wrap(TRANSCENDENTAL, waiting),
    ...wrap(WAITING_CONTROL, control),
    ...wrap(NO_WAIT, noWait),
  ]),
  ...IMAGES,
  fwait,
  emms: emmsHelper,
};
