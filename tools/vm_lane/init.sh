#!/bin/busybox sh
# The guest's first process: from the initramfs to the caller's command, then off.
#
#   /                 overlay: a tmpfs over a copy of the checkout over the host's root over .cache/vm/root (modules,
#                     packages); the lower ones by 9p, read-only
#   /tmp /run         tmpfs, empty: an overlay's upper directory may lie there, and not on /
#   /run/vm           .cache/vm/runs/N by 9p, writable: ./command, ./status, whatever a command leaves in ./
#   /run/disk         ext4 on /dev/vda, empty
#   /run/host         the host's root, read-only
#   /sys/fs/cgroup    cgroup v2, no controller enabled yet
set -u
busybox=/bin/busybox
$busybox mkdir -p /new /checkout /host /vm /upper
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev

fail() {
    echo "vm: $*" >/dev/kmsg
    $busybox sync
    $busybox poweroff -f
}

option() { # the value of NAME=VALUE on the kernel's command line
    for word in $($busybox cat /proc/cmdline); do
        case $word in "$1="*) echo "${word#*=}" ;; esac
    done
}

for module in /modules/*; do
    $busybox insmod "$module" || fail "cannot load $module"
done

ninep=trans=virtio,version=9p2000.L,msize=512000
$busybox mount -t 9p -o "$ninep,ro,cache=loose" host /host || fail "cannot mount the host's root"
$busybox mount -t 9p -o "$ninep,ro,cache=loose" packages /vm || fail "cannot mount the packages"
$busybox mount -t 9p -o "$ninep,ro,cache=loose" checkout /checkout || fail "cannot mount the checkout"
$busybox mount -t tmpfs -o mode=755 upper /upper
$busybox mkdir /upper/u /upper/w
layers=lowerdir=/checkout:/host:/vm,upperdir=/upper/u,workdir=/upper/w
$busybox mount -t overlay -o $layers root /new || fail "cannot mount the root"

# A checkout below /tmp would vanish under the tmpfs: it is held and put back.
project=$(option vm.project)
$busybox mkdir /hold
$busybox mount --bind "/new$project" /hold || fail "the checkout $project is not on the host's root"
$busybox mount -t tmpfs -o mode=1777 tmp /new/tmp
$busybox mount -t tmpfs -o mode=755 run /new/run
if [ ! -d "/new$project/tools" ]; then
    $busybox mkdir -p "/new$project"
    $busybox mount --bind /hold "/new$project"
fi
$busybox umount /hold

$busybox rm -f /new/.dockerenv # the guest is no container, whatever its host is
cd /new/run && $busybox mkdir vm host disk lock shm netns
$busybox mount --bind /host /new/run/host
$busybox mount -t 9p -o "$ninep" run /new/run/vm || fail "cannot mount the run's folder"
$busybox mount -t ext4 /dev/vda /new/run/disk || fail "cannot mount the disk"
$busybox mkswap /dev/vdb >/dev/null && $busybox swapon /dev/vdb || fail "no swap"

for folder in proc sys dev; do
    [ -d /new/$folder ] || $busybox mkdir /new/$folder
done
$busybox mount -t proc proc /new/proc
$busybox mount -t sysfs sys /new/sys
$busybox mount -t devtmpfs dev /new/dev
$busybox mkdir -p /new/dev/pts /new/dev/shm /new/dev/mqueue
$busybox mount -t devpts -o mode=620,ptmxmode=666,gid=5 devpts /new/dev/pts
$busybox mount -t tmpfs -o mode=1777 shm /new/dev/shm
$busybox mount -t mqueue mqueue /new/dev/mqueue
[ -e /new/dev/fd ] || $busybox ln -s /proc/self/fd /new/dev/fd
$busybox mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup /new/sys/fs/cgroup
$busybox mount -t securityfs security /new/sys/kernel/security
$busybox mount -t bpf bpf /new/sys/fs/bpf
$busybox ip link set lo up
$busybox hostname vm

$busybox cp $busybox /new/run/busybox
[ -s /new/etc/machine-id ] || echo 5ea5ca1eb0a75ea5ca1eb0a75ea5ca1e >/new/etc/machine-id
cd /
if [ "$(option vm.mode)" = systemd ]; then
    # The units of tools/vm_lane/systemd and nothing else of what the host has: no generators, no presets.
    $busybox mkdir -p /new/run/systemd/system /new/run/systemd/system-generators
    $busybox cp /new/run/vm/systemd/* /new/run/systemd/system/
    for generator in /new/usr/lib/systemd/system-generators/* /new/etc/systemd/system-generators/*; do
        $busybox ln -sf /dev/null "/new/run/systemd/system-generators/${generator##*/}"
    done
    $busybox grep -q ^messagebus: /new/etc/passwd || echo messagebus:x:104:104::/nonexistent:/bin/false >>/new/etc/passwd
    $busybox grep -q ^messagebus: /new/etc/group || echo messagebus:x:104: >>/new/etc/group
    exec $busybox switch_root -c /dev/kmsg /new /usr/lib/systemd/systemd --unit=vm.target
fi
exec $busybox switch_root -c /dev/kmsg /new /run/vm/start
