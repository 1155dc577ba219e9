#!/usr/bin/env bash
# images.sh OUT: builds the boot-sector images of the shared bench folder alone (needs nasm), without the Linux guests. BMSCALE=20 for longer runs.
set -euo pipefail
guest=${WHYVE_BENCH_SHARED:-$(cd "$(dirname "$0")" && pwd)/../../shared/bench}/guest
mkdir -p "$1"
for t in hello bios_int12 bios_int12_smp falsesmc bios_int1a bios_tty disk_read pio_out pio_in mips16 mips32 mips64 irq_hlt; do
  image=$1/bm-$t.img
  nasm -f bin -I"$guest/" -DTEST_$t -DTNAME="'$t'" -DSCALEPCT=$((${BMSCALE:-1} * 100000)) "$guest/boot.asm" -o "$image" || { rm -f "$image"; continue; }
  truncate -s $((64 * 1024 * 1024)) "$image"
done
# Contents that no file system leaves out as a hole.
openssl enc -aes-128-ctr -nosalt -K 0 -iv 0 </dev/zero 2>/dev/null | head -c $((40 * 1024 * 1024)) | dd of="$1/bm-disk_read.img" bs=512 seek=1 conv=notrunc status=none || true
echo "${BMSCALE:-1}" > "$1/bmscale"
