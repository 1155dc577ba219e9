#!/usr/bin/env bash
# side-by-side.sh OUT RESULTS.jsonl [REPEATS]: whyve, QEMU and v86 (V86_DIR) one after the other on each boot-sector image of OUT.
# Then: WHYVE_BENCH_SHARED/summarize.mjs RESULTS.jsonl
set -u
here=$(cd "$(dirname "$0")" && pwd)
shared=${WHYVE_BENCH_SHARED:-$here/../../shared/bench}
out=$1 results=$2 repeats=${3:-3}
export TIMEOUT=${TIMEOUT:-120}
for ((i = 1; i <= repeats; i++)); do
  for t in hello bios_int12 bios_int12_smp falsesmc bios_int1a bios_tty disk_read pio_out pio_in mips16 mips32 mips64 irq_hlt; do
    [ -e "$out/bm-$t.img" ] || continue
    node "$here/run-whyve.mjs" "$out" bm-$t
    command -v qemu-system-x86_64 >/dev/null && "$shared/run-qemu.sh" "$out" bm-$t
    [ -n "${V86_DIR:-}" ] && [ $t != mips64 ] && node "$shared/run-v86.mjs" "$out" bm-$t
  done
done >> "$results"
