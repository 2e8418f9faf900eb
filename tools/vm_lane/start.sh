#!/run/busybox sh
# The guest's second stage, as process 1 or as a service of systemd: run the caller's command, report, power off.
#
# The command's streams are pipes: a virtio port can be open once only, and /dev/stdout is opened again by many programs.
# As process 1 the shell reaps, while it waits, whatever is orphaned.
busybox=/run/busybox
cd /run/vm
$busybox mkfifo /run/out /run/err
set -- /dev/vport*p1 /dev/vport*p2 # the bus's number is in the name
$busybox cat /run/out >"$1" &
out=$!
$busybox cat /run/err >"$2" &
err=$!

/bin/sh /run/vm/command </dev/null >/run/out 2>/run/err &
wait $!
status=$?

# What the command left behind may hold the pipes open; its words have been written by now.
( $busybox sleep 2; kill $out $err ) 2>/dev/null &
wait $out $err
echo $status >/run/vm/status
$busybox sync
$busybox poweroff -f
