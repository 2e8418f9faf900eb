"""One command on a stock Debian kernel under QEMU: see ``tools/vm``, which documents it for its users.

cache.py      kernel and packages, fetched once into .cache/vm, never installed
initramfs.py  busybox, the modules that reach the root, init.sh: a cpio archive
machine.py    QEMU's arguments, the streams, the time limit
main.py       options, one machine at a time, the exit status
init.sh       the guest: from the initramfs to the command
"""
