#!/usr/bin/env bash
# Makes a Debian 12 disk for the "systemd to a login" test: debootstrap, GRUB in the MBR, one ext4 partition found by its UUID, so that it
# boots from IDE or virtio, here or in QEMU. Login root, password whyve; getty on tty1 and ttyS0. No loop device, no mount.
#
#   make-debian-root.sh OUT.img [SIZE_MIB]      (as root; needs debootstrap, e2fsprogs, grub-common, grub-pc-bin, a Debian mirror)
#
# The root tree is kept in OUT.img.root for the next run.
set -euo pipefail
OUT=$1
SIZE=${2:-2048}
ROOT=$OUT.root
UUID=77687976-652d-4444-8888-64656269616e
PACKAGES=systemd,systemd-sysv,udev,kmod,login,passwd,linux-image-amd64,grub-pc-bin,grub-common,busybox,iproute2,iputils-ping,isc-dhcp-client,ifupdown,netbase,wget,openssh-server,gcc,libc6-dev,e2fsprogs,procps,less

if [ ! -d "$ROOT" ]; then
  rm -rf "$ROOT.tmp"
  debootstrap --variant=minbase --include=$PACKAGES bookworm "$ROOT.tmp" >&2
  mv "$ROOT.tmp" "$ROOT"
fi

echo whyve > "$ROOT/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 whyve\n' > "$ROOT/etc/hosts"
printf 'UUID=%s / ext4 errors=remount-ro 0 1\n' $UUID > "$ROOT/etc/fstab"
echo root:whyve | chroot "$ROOT" chpasswd
printf 'auto lo\niface lo inet loopback\nallow-hotplug eth0\niface eth0 inet dhcp\n' > "$ROOT/etc/network/interfaces"
printf 'PermitRootLogin yes\n' > "$ROOT/etc/ssh/sshd_config.d/whyve.conf"
mkdir -p "$ROOT/etc/systemd/system/getty.target.wants" "$ROOT/boot/grub"
ln -sf /lib/systemd/system/serial-getty@.service "$ROOT/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service"
rm -f "$ROOT"/var/cache/apt/archives/*.deb
kernel=$(basename "$(ls "$ROOT"/boot/vmlinuz-* | sort | tail -1)")
version=${kernel#vmlinuz-}
cat > "$ROOT/boot/grub/grub.cfg" <<G
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=3
set default=0
menuentry "Debian" {
search --no-floppy --fs-uuid --set=root $UUID
linux /boot/$kernel root=UUID=$UUID ro net.ifnames=0 console=tty0 console=ttyS0,115200
initrd /boot/initrd.img-$version
}
G

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -f "$OUT.tmp"
truncate -s "${SIZE}M" "$OUT.tmp"
python3 - "$OUT.tmp" "$SIZE" <<'P'
import struct, sys
sectors = int(sys.argv[2]) * 2048 - 2048
entry = bytes([0x80, 32, 33, 0, 0x83, 0xfe, 0xff, 0xff]) + struct.pack('<II', 2048, sectors)
f = open(sys.argv[1], 'r+b'); f.seek(440); f.write(struct.pack('<IH', 0x77687976, 0) + entry + bytes(48) + b'\x55\xaa')
P
mke2fs -q -F -t ext4 -U $UUID -L whyve-root -E offset=1048576,no_copy_xattrs -d "$ROOT" "$OUT.tmp" "$(( (SIZE - 1) * 1024 ))k"
g=/usr/lib/grub/i386-pc
echo "search --no-floppy --fs-uuid --set=root $UUID
set prefix=(\$root)/boot/grub
configfile \$prefix/grub.cfg" > "$work/early.cfg"
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -c "$work/early.cfg" -o "$work/core.img" -d $g \
  biosdisk part_msdos ext2 normal configfile linux search search_fs_uuid echo serial terminal minicmd reboot halt test ls cat
dd if=$g/boot.img of="$OUT.tmp" bs=1 count=440 conv=notrunc status=none
printf '\x90\x90' | dd of="$OUT.tmp" bs=1 seek=102 conv=notrunc status=none
dd if="$work/core.img" of="$OUT.tmp" bs=512 seek=1 conv=notrunc status=none
mv "$OUT.tmp" "$OUT"
echo "built $OUT ($(basename "$kernel"))"
