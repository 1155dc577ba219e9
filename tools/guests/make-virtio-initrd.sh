#!/usr/bin/env bash
# A Linux kernel of Debian 12 and an initial ramdisk that tries the drivers of every virtio device, for test/guest/virtio-linux.test.mjs. With "vt.shell" on
# the kernel's command line it gives a shell on the console instead, with drivers of virtio disks and ext4 (power-cut.mjs).
#
#   make-virtio-initrd.sh OUTDIR        makes OUTDIR/vmlinuz and OUTDIR/initrd.gz
#
# Needs apt-get download, dpkg-deb, cpio. No root, nothing is installed. Lines to look for start with "VT:".
set -euo pipefail
OUT=$(mkdir -p "$1" && cd "$1" && pwd)
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
get() { # unpack package $1 into $2
  (cd "$W" && rm -f ./*.deb && apt-get -qq download "$1" >&2 && dpkg-deb -x ./*.deb "$2" && rm -f ./*.deb)
}
KERNEL=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ :]*\).*/\1/p' | head -1)
get "$KERNEL" "$W/kernel"; get busybox-static "$W/busybox"
R=$W/root; mkdir -p "$R"/{bin,dev,proc,sys,tmp,mnt,lib}
for a in $("$W/busybox/bin/busybox" --list); do ln -sf busybox "$R/bin/$a"; done
rm -f "$R/bin/busybox"; cp "$W/busybox/bin/busybox" "$R/bin/busybox"
M=$(echo "$W"/kernel/lib/modules/*/kernel)
for m in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console virtio-rng virtio_net failover net_failover \
  9pnet 9pnet_virtio netfs fscache 9p crc32c_generic libcrc32c crc16 mbcache jbd2 ext4; do
  find "$M" -name "$m.ko" -exec cp {} "$R/lib/" \;
done
cat > "$R/init" <<'I'
#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
export PATH=/bin
echo "VT: up $(uname -srm)"
load() { for i in 1 2; do for m; do insmod /lib/$m.ko 2>/dev/null; done; done; }
load virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev
P=; grep -q vt.legacy /proc/cmdline && P=force_legacy=1
insmod /lib/virtio_pci.ko $P
if grep -q vt.shell /proc/cmdline; then
  load virtio_blk crc16 crc32c_generic libcrc32c mbcache jbd2 ext4
  echo "VT: shell"
  exec setsid cttyhack sh
fi
load virtio_blk virtio-rng virtio_console failover net_failover virtio_net
for d in /sys/bus/virtio/devices/*; do echo "VT: $(cat $d/device) status $(cat $d/status) features $(cat $d/features)"; done
for b in /sys/block/vd*; do echo "VT: $(basename $b) $(cat $b/size) $(cat $b/serial) ro $(cat $b/ro) $(cat $b/queue/write_cache)"; done
echo "VT: vda $(sha256sum < /dev/vda | cut -c1-16)"
load crc16 crc32c_generic libcrc32c mbcache jbd2 ext4
if mount -t ext4 /dev/vdb /mnt; then
  i=0; while [ $i -lt 20 ]; do dd if=/dev/vda of=/mnt/f$i bs=4k count=64 skip=$i 2>/dev/null; i=$((i+1)); done
  mkdir /mnt/d; mv /mnt/f* /mnt/d/; sync; echo 3 > /proc/sys/vm/drop_caches
  echo "VT: ext4 $(cat /mnt/d/f* | sha256sum | cut -c1-16)"
  rm /mnt/d/f1?; umount /mnt
fi
echo "VT: rng $(cat /sys/class/misc/hw_random/rng_current) $(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c) bytes"
echo "VT: hello on hvc0" > /dev/hvc0
load 9pnet 9pnet_virtio netfs fscache 9p
if mount -t 9p -o trans=virtio,version=9p2000.L share /mnt; then
  echo "VT: 9p $(cat /mnt/hello)"
  dd if=/dev/vda of=/mnt/big bs=128k 2>/dev/null; echo "VT: big $(sha256sum < /mnt/big | cut -c1-16)"
  mkdir -p /mnt/a/b/c; echo one > /mnt/file; cp /mnt/file /mnt/a/b/c/; ln -s file /mnt/sym; ln /mnt/file /mnt/hard; mv /mnt/a/b /mnt/bb
  echo "VT: names $(cat /mnt/sym) $(stat -c %h /mnt/file) $(cat /mnt/bb/c/file)"
  chmod 600 /mnt/file; touch -d "2020-01-02 03:04:05" /mnt/file; stat -c "VT: stat %a %s %Y" /mnt/file
  echo two >> /mnt/file; echo "VT: lines $(wc -l < /mnt/file)"
  cat /mnt/escape 2>/dev/null || echo "VT: no escape"
  i=0; while [ $i -lt 50 ]; do echo $i > /mnt/bb/n$i; i=$((i+1)); done; echo "VT: many $(ls /mnt/bb | wc -l)"
  rm -r /mnt/bb /mnt/a; umount /mnt
fi
grep -i virtio /proc/interrupts
echo "VT: done"
poweroff -f
I
chmod +x "$R/init"
(cd "$R" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 | gzip -9n) > "$OUT/initrd.gz"
cp "$W"/kernel/boot/vmlinuz-* "$OUT/vmlinuz"
echo "made $OUT/vmlinuz ($KERNEL) and $OUT/initrd.gz"
