#!/usr/bin/env bash
# A Linux kernel of Debian 12 and an initial ramdisk that uses the network, for test/guest/network.test.mjs.
#
#   make-net-initrd.sh OUTDIR        makes OUTDIR/vmlinuz and OUTDIR/initrd.gz
#
# Needs apt-get download, dpkg-deb, cpio. No root, nothing is installed. Lines to look for start with "NT:". The kernel's command line says
# which port of the host serves files: nt.port=N.
set -euo pipefail
OUT=$(mkdir -p "$1" && cd "$1" && pwd)
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
get() { # unpack package $1 into $2
  (cd "$W" && rm -f ./*.deb && apt-get -qq download "$1" >&2 && dpkg-deb -x ./*.deb "$2" && rm -f ./*.deb)
}
KERNEL=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ :]*\).*/\1/p' | head -1)
get "$KERNEL" "$W/kernel"; get busybox-static "$W/busybox"
R=$W/root; mkdir -p "$R"/{bin,dev,proc,sys,tmp,etc,lib,www}
for a in $("$W/busybox/bin/busybox" --list); do ln -sf busybox "$R/bin/$a"; done
rm -f "$R/bin/busybox"; cp "$W/busybox/bin/busybox" "$R/bin/busybox"
M=$(echo "$W"/kernel/lib/modules/*/kernel)
for m in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_net failover net_failover; do
  find "$M" -name "$m.ko" -exec cp {} "$R/lib/" \;
done
cat > "$R/lib/dhcp" <<'I'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/24 dev $interface; ip route add default via $router
echo "nameserver $dns" > /etc/resolv.conf
echo "NT: bound $ip router $router dns $dns mtu $mtu"
I
cat > "$R/init" <<'I'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
load() { for i in 1 2; do for m; do insmod /lib/$m.ko 2>/dev/null; done; done; }
load virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev
P=; grep -q nt.legacy /proc/cmdline && P=force_legacy=1
insmod /lib/virtio_pci.ko $P
load failover net_failover virtio_net
PORT=$(sed -n 's/.*nt.port=\([0-9]*\).*/\1/p' /proc/cmdline)
ip link set lo up; ip link set eth0 up
echo "NT: card $(cat /sys/class/net/eth0/address) carrier $(cat /sys/class/net/eth0/carrier)"
udhcpc -s /lib/dhcp -i eth0 -n -q -t 5 2>/dev/null
echo "NT: ping $(ping -c 3 -i 0.2 10.0.2.2 | grep -o '[0-9]* packets received')"
echo "NT: name $(nslookup guest.test | grep -A1 ^Name | grep -o '[0-9.]*$')"
wget -q -O - http://10.0.2.2:1/ 2>&1 | grep -q refused && echo "NT: refused"
echo "NT: large $(wget -q -O - http://10.0.2.2:$PORT/large | md5sum | cut -c1-32)"
head -c 3000000 /dev/urandom | base64 > /tmp/up
echo "NT: up $(md5sum < /tmp/up | cut -c1-32) $(wget -q -O - --post-file=/tmp/up http://10.0.2.2:$PORT/up)"
echo "hello from the guest" > /www/index.html
httpd -p 80 -h /www
echo "NT: errors $(cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/rx_dropped | tr '\n' ' ')"
echo "NT: ready"
wget -q -O /dev/null http://10.0.2.2:$PORT/large; echo "NT: done"
sleep 1000000
I
chmod +x "$R/init" "$R/lib/dhcp"
(cd "$R" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0 | gzip -9n) > "$OUT/initrd.gz"
cp "$W"/kernel/boot/vmlinuz-* "$OUT/vmlinuz"
echo "made $OUT/vmlinuz ($KERNEL) and $OUT/initrd.gz"
