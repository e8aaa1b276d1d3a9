#!/bin/sh
# Outside a node: enter its cgroups, so that whatever it starts is found there, and make its namespaces.
# Usage: launch.sh STATE ROOT TOOLS IMAGES CGROUP...   (a cgroup is a folder of one hierarchy)
set -eu
state=$1 root=$2 tools=$3 images=$4
shift 4
for cgroup; do echo $$ >"$cgroup/cgroup.procs"; done
# The file system of the machine stays private; --kill-child ends the node with this process, whose only child
# the node's first process is: so no $(dirname) here.
exec unshare --net --mount --pid --uts --ipc --cgroup --fork --kill-child=KILL --propagation private \
  "${0%/*}/enter.sh" "$state" "$root" "$tools" "$images" "$@"
