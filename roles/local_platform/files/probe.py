"""Say in JSON what this machine lacks to carry one cluster of the local platform.

Reads only. Argument: one JSON object with ``state_dir`` and ``run_dir`` (absolute paths),
``minimum_free_bytes``, ``programs``, ``marker`` and ``former_dir`` (empty, or where an older
edition kept the data). Prints ``{"problems": [line, ...]}``.
"""

import json
import os
import resource
import shutil
import stat
import sys

# A Unix socket's path has at most 107 bytes on Linux, 103 elsewhere.
SOCKET_PATH_BYTES = 103
LONGEST_SOCKET = "services/supervisor.sock"


# supervisord does not start below that.
LEAST_OPEN_FILES = 1024


def directory_problem(name, path):
    """Return why ``path`` cannot become a directory of ours, empty when it can; and what is there.

    The second value is the nearest directory that exists: ``path`` itself, or one above it.
    """
    present = path
    try:
        while True:
            try:
                # Of a link that leads nowhere, nothing below can be made either.
                found = os.stat(present)
                break
            except FileNotFoundError:
                if os.path.islink(present):
                    return "%s: %s leads nowhere; remove the link" % (name, present), present
                present = os.path.dirname(present)
            except NotADirectoryError:
                present = os.path.dirname(present)
    except OSError as error:
        return "%s: %s: %s; name another" % (name, present, error.strerror), present
    if not stat.S_ISDIR(found.st_mode):
        return "%s: %s is not a directory; name another" % (name, present), present
    if present == path and found.st_uid != os.geteuid():
        return "%s: %s belongs to another user; name another" % (name, path), present
    if not os.access(present, os.W_OK | os.X_OK):
        return "%s is not writable; set %s" % (present, name), present
    return "", present


def find_problems(wanted):
    """Return one line for each thing that is not as it must be."""
    state_dir = wanted["state_dir"]
    problem, parent = directory_problem("local_platform_state_dir", state_dir)
    problems = [problem, directory_problem("local_platform_run_dir", wanted["run_dir"])[0]]
    for path in wanted["programs"]:
        if shutil.which(path) is None:
            problems.append("program %s is missing; install it or name another" % path)
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if open_files != resource.RLIM_INFINITY and open_files < LEAST_OPEN_FILES:
        problems.append(
            "this session may have %d open files, %d are needed; raise the limit: ulimit -n %d"
            % (open_files, LEAST_OPEN_FILES, LEAST_OPEN_FILES)
        )
    if len(os.fsencode(os.path.join(state_dir, LONGEST_SOCKET))) > SOCKET_PATH_BYTES:
        problems.append(
            "%s is too long for a Unix socket in it; set local_platform_state_dir" % state_dir
        )
    if not problem:
        problems += content_problems(wanted, parent)
    return [line for line in problems if line]


def content_problems(wanted, parent):
    """Return what is wrong with the place of the data, whose nearest directory is ``parent``."""
    problems = []
    state_dir = wanted["state_dir"]
    free = shutil.disk_usage(parent).free
    if free < wanted["minimum_free_bytes"]:
        problems.append(
            "%s has %d MiB free, %d MiB are needed (local_platform_minimum_free_bytes); make room,"
            " or set local_platform_state_dir"
            % (parent, free >> 20, wanted["minimum_free_bytes"] >> 20)
        )
    is_ours = os.path.isfile(os.path.join(state_dir, wanted["marker"]))
    if os.path.isdir(state_dir) and os.listdir(state_dir) and not is_ours:
        problems.append(
            "local_platform_state_dir: %s is not empty and was not made by this role; name another"
            " directory" % state_dir
        )
    former = wanted["former_dir"]
    if former and not is_ours and os.path.isfile(os.path.join(former, wanted["marker"])):
        problems.append(
            "the first edition kept the data of this inventory in %s, and they are there; go on"
            " with them by local_platform_state_dir: %s, or remove them by teardown.yml with that"
            % (former, former)
        )
    return problems


if __name__ == "__main__":
    print(json.dumps({"problems": find_problems(json.loads(sys.argv[1]))}))
