#!/bin/sh
# Run a program in a Debian tree whose root is read-only, with one folder of the machine as /lab.
# Usage: unshare --mount --pid ... enter.sh TREE FOLDER COMMAND...   The mounts end with the namespace.
set -eu
tree=$1 folder=$2
shift 2
# The tree becomes a mount, because a chroot whose / is none cannot be remounted, and buildah does that.
mount --bind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
mount --bind "$folder" "$tree/lab"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
for place in run tmp var/tmp; do mount -t tmpfs tmpfs "$tree/$place"; done
cd "$tree"
pivot_root . mnt
umount -l /mnt
cd /lab
exec "$@"
