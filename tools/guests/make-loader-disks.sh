#!/usr/bin/env bash
# Disks of boot loaders and kernels in Debian packages beyond the guest set's own: memdisk, com32 modules, GRUB's rescue disks, GNU Mach, LOADLIN.
# No root mounts, no loop devices.
#
#   make-loader-disks.sh OUTDIR FREEDOS-FLOPPY [TARGET...]
#
# needs: apt-get, dpkg-deb, mtools, syslinux, syslinux-common, grub-common + grub-pc-bin, e2fsprogs, python3; --add-architecture i386 for mach and loadlin
#
# TARGETS
#   com32-hdd        FAT16 + SYSLINUX with its com32 modules, memdisk and a FreeDOS floppy image in it
#   rescue-floppy, rescue-cd   the two images of grub-rescue-pc
#   mach-hdd         GRUB 2 and GNU Mach by multiboot, no servers
#   loadlin-hdd      FAT16 with LOADLIN, the 686 kernel and a ramdisk, for a machine that boots DOS from A:
set -euo pipefail
OUT=$(mkdir -p "$1" && cd "$1" && pwd)
DOS=$(realpath "$2")
shift 2
T=("$@")
[ ${#T[@]} = 0 ] && T=(com32-hdd rescue-floppy rescue-cd mach-hdd loadlin-hdd)
C=$OUT/.cache
mkdir -p "$C"
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
export SOURCE_DATE_EPOCH=1700000000 MTOOLS_SKIP_CHECK=1
pkg() { # unpack package $1 once, print where
  local d=$C/${1//[:\/]/_}
  if [ ! -d "$d" ]; then
    (cd "$W" && rm -f ./*.deb && apt-get -qq download "$1" >&2 2>/dev/null && dpkg-deb -x ./*.deb "$d.tmp" && rm -f ./*.deb)
    mv "$d.tmp" "$d"
  fi
  echo "$d"
}
dep() { apt-cache depends "$1" | sed -n 's/.*Depends: \(linux-image-[^ :]*\).*/\1/p' | head -1; }
# $1 image, $2 MiB, $3 partition type (hex): one active partition from LBA 2048
disk() {
  rm -f "$1"
  truncate -s "$2M" "$1"
  python3 - "$1" "$2" "$3" <<'P'
import struct, sys
n = int(sys.argv[2]) * 2048 - 2048
e = bytes([0x80, 32, 33, 0, int(sys.argv[3], 16), 0xFE, 0xFF, 0xFF]) + struct.pack("<II", 2048, n)
f = open(sys.argv[1], "r+b")
f.seek(440)
f.write(struct.pack("<IH", 0x47554553, 0) + e + bytes(48) + b"\x55\xaa")
P
}
fat() { mformat -i "$1"@@1M -T $((($2 - 1) * 2048)) -h 16 -s 63 -H 2048 -v GUEST ::; }
for t in "${T[@]}"; do
  case $t in
  com32-hdd)
    I=$OUT/$t.img
    disk "$I" 16 06
    fat "$I" 16
    mcopy -i "$I"@@1M /usr/lib/syslinux/modules/bios/*.c32 /usr/lib/syslinux/memdisk ::
    mcopy -i "$I"@@1M "$DOS" ::dos.img
    cat >"$W/syslinux.cfg" <<'S'
UI vesamenu.c32
MENU TITLE GUEST vesamenu
MENU RESOLUTION 800 600
LABEL dos
 MENU LABEL FreeDOS in memory
 KERNEL memdisk
 INITRD dos.img
LABEL prompt
 MENU LABEL Command line
 KERNEL cmd.c32
S
    printf 'PROMPT 1\nTIMEOUT 0\nSAY GUEST: com32\nLABEL dos\n KERNEL memdisk\n INITRD dos.img\nLABEL dosraw\n KERNEL memdisk\n INITRD dos.img\n APPEND raw\nLABEL vesa\n KERNEL vesamenu.c32\n APPEND vesa.cfg\n' >"$W/main.cfg"
    mcopy -i "$I"@@1M "$W/main.cfg" ::syslinux.cfg
    mcopy -i "$I"@@1M "$W/syslinux.cfg" ::vesa.cfg
    syslinux --install --offset 1048576 "$I"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$I" bs=1 count=440 conv=notrunc status=none
    ;;
  rescue-floppy) cp "$(pkg grub-rescue-pc)/usr/lib/grub-rescue/grub-rescue-floppy.img" "$OUT/$t.img" ;;
  rescue-cd) cp "$(pkg grub-rescue-pc)/usr/lib/grub-rescue/grub-rescue-cdrom.iso" "$OUT/$t.iso" ;;
  mach-hdd)
    I=$OUT/$t.img
    rm -rf "$W/r"
    mkdir -p "$W/r/boot/grub"
    gzip -dc "$(pkg gnumach-image-1.8-486:i386)"/boot/gnumach-*.gz >"$W/r/boot/gnumach"
    printf 'set timeout=0\nmenuentry "GNU Mach" {\n multiboot /boot/gnumach console=com0\n}\n' >"$W/r/boot/grub/grub.cfg"
    echo 'configfile (hd0,msdos1)/boot/grub/grub.cfg' >"$W/e.cfg"
    disk "$I" 8 83
    rm -f "$W/p.img"
    mke2fs -q -F -t ext2 -b 1024 -I 128 -U 11111111-2222-3333-4444-555555555555 -d "$W/r" "$W/p.img" $((7 * 1024)) >/dev/null
    dd if="$W/p.img" of="$I" bs=1M seek=1 conv=notrunc status=none
    g=/usr/lib/grub/i386-pc
    grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -c "$W/e.cfg" -o "$W/core.img" -d $g biosdisk part_msdos ext2 normal configfile multiboot
    cp $g/boot.img "$W/boot.img"
    printf '\x90\x90' | dd of="$W/boot.img" bs=1 seek=102 conv=notrunc status=none
    dd if="$W/boot.img" of="$I" bs=1 count=440 conv=notrunc status=none
    dd if="$W/core.img" of="$I" bs=512 seek=1 conv=notrunc status=none
    ;;
  loadlin-hdd)
    I=$OUT/$t.img
    disk "$I" 16 06
    fat "$I" 16
    gzip -dc "$(pkg loadlin)"/usr/lib/loadlin/loadlin.exe.gz >"$W/loadlin.exe"
    k=$(ls "$(pkg "$(dep linux-image-686):i386")"/boot/vmlinuz-*)
    r=$W/ird
    rm -rf "$r"
    mkdir -p "$r"/{bin,dev,proc}
    cp "$(pkg busybox-static:i386)/bin/busybox" "$r/bin/busybox"
    for a in sh mount uname cat poweroff; do ln -sf busybox "$r/bin/$a"; done
    printf '#!/bin/sh\nmount -t proc proc /proc; mount -t devtmpfs dev /dev\necho "GUEST-LOADLIN: $(uname -sm) $(cat /proc/cmdline)"\npoweroff -f\n' >"$r/init"
    chmod +x "$r/init"
    (cd "$r" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible -R 0:0 | gzip -9n) >"$W/initrd.gz"
    mcopy -i "$I"@@1M "$W/loadlin.exe" "$k" "$W/initrd.gz" ::
    mren -i "$I"@@1M "::$(basename "$k")" ::VMLINUZ
    ;;
  *)
    echo "unknown target $t" >&2
    exit 2
    ;;
  esac
  echo "built $t"
done
