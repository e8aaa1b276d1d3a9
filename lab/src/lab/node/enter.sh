#!/bin/sh
# Inside a node's namespaces, still with the machine's files: make the node's own tree, make it the root, and
# become its first process. Usage: as launch.sh.
set -eu
state=$1 root=$2 tools=$3 images=$4
shift 4
disk=$state/disk new=$state/root
bind() { mkdir -p "$2"; mount --bind "$1" "$2"; }
mount -t overlay overlay -o "lowerdir=$root,upperdir=$disk/upper,workdir=$disk/work" "$new"
mount -t proc proc "$new/proc"
mount -t sysfs sysfs "$new/sys"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
# The namespace makes the node's cgroup the root of each hierarchy it mounts.
mount -t tmpfs -o mode=755 tmpfs "$new/sys/fs/cgroup"
for cgroup; do
  name=$(basename "$(dirname "$(dirname "$cgroup")")")
  mkdir "$new/sys/fs/cgroup/$name"
  case $name in systemd) option=none,name=systemd ;; *) option=$name ;; esac
  mount -t cgroup -o "$option" cgroup "$new/sys/fs/cgroup/$name"
done
mount -t tmpfs -o mode=755 tmpfs "$new/dev"
mknod -m 666 "$new/dev/null" c 1 3; mknod -m 666 "$new/dev/zero" c 1 5; mknod -m 666 "$new/dev/full" c 1 7
mknod -m 666 "$new/dev/random" c 1 8; mknod -m 666 "$new/dev/urandom" c 1 9; mknod -m 666 "$new/dev/tty" c 5 0
mknod -m 600 "$new/dev/kmsg" c 1 11
mkdir "$new/dev/pts" "$new/dev/shm" "$new/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$new/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$new/dev/shm"
mount -t mqueue mqueue "$new/dev/mqueue"
ln -s pts/ptmx "$new/dev/ptmx"; ln -s /proc/self/fd "$new/dev/fd"; ln -s /proc/self/fd/0 "$new/dev/stdin"
ln -s /proc/self/fd/1 "$new/dev/stdout"; ln -s /proc/self/fd/2 "$new/dev/stderr"
# Overlays cannot lie on an overlay, so what containers write is on the machine's own disk.
for name in containerd kubelet etcd; do bind "$disk/$name" "$new/var/lib/$name"; done
bind "$state/node" "$new/lab"
for folder in tools images; do
  eval "bind \"\$$folder\" \"\$new/lab/$folder\""
  mount -o remount,bind,ro "$new/lab/$folder"
done
cd "$new"
pivot_root . mnt
umount -l /mnt
mount --make-rshared /
cd /
exec /usr/bin/python3 -I /lab/init.py
