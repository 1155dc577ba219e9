import type { VirtualMachine } from "../../node/index.ts";
import type { TraceRequest } from "../options/trace-options.ts";
import { exitsTracer, insnTracer } from "./observers.ts";
import type { Tracer } from "./observers.ts";
import { TraceOutput } from "./output.ts";

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, "0");

/** Guest time as `seconds.microseconds`, the first column of every trace line. */
export function timeColumn(vm: VirtualMachine): string {
  return (vm.timeNs / 1e9).toFixed(6);
}

/** Switches on what was asked for; the result switches it off and closes the files. `onLost` is told when a file is not whole. */
export function attachTraces(vm: VirtualMachine, requests: readonly TraceRequest[], onLost: () => void): () => void {
  const outputs = new Map<string, TraceOutput>();
  const tracers: Tracer[] = [];
  for (const request of requests) {
    const key = request.path ?? "";
    const output = outputs.get(key) ?? new TraceOutput(request.path, onLost);
    outputs.set(key, output);
    if (request.what === "bios") vm.pc.traceBios((line) => output.line(line));
    else if (request.what === "io") traceIo(vm, output);
    else if (request.what === "exits") tracers.push(exitsTracer(vm, output));
    else tracers.push(insnTracer(vm, output, request.filter));
  }
  const detach = tracers.map((tracer) => vm.observe(tracer));
  // A person who watches stderr wants lines as they come, not in 64 KiB pieces.
  const timer = setInterval(() => outputs.forEach((o) => o.flush()), 100);
  timer.unref();
  return () => {
    clearInterval(timer);
    vm.pc.pio.hook = undefined;
    vm.pc.mmio.hook = undefined;
    vm.pc.traceBios(undefined);
    for (const stop of detach) stop();
    outputs.forEach((o) => o.close());
  };
}

function traceIo(vm: VirtualMachine, output: TraceOutput): void {
  vm.pc.pio.hook = (write, port, size, value, device) => {
    output.line(
      `${timeColumn(vm)} ${write ? "out" : "in "} ${hex(port, 4)} ${write ? "<-" : "->"} ${hex(value, size * 2).padEnd(8)} ${device?.name ?? "unclaimed"}`,
    );
  };
  vm.pc.mmio.hook = (write, gpa, size, value, device) => {
    output.line(
      `${timeColumn(vm)} ${write ? "st " : "ld "} ${hex(gpa, 8)} ${write ? "<-" : "->"} ${hex(value, size * 2).padEnd(8)} ${device?.name ?? "unclaimed"}`,
    );
  };
}
