#!/usr/bin/env python3
"""Make the checkout's environment: ``.venv`` from the hash-locked requirements, and the link tree.

Usage: ``python3 tools/bootstrap.py`` (the Makefile does). Nothing outside the checkout is touched.

A stamp in ``.venv`` holds the digest of the lock files and of the interpreter's version; while it
matches, the script ends at once. Only the standard library is used, and only syntax that an old
Python 3 can read, so that a wrong interpreter gets a sentence instead of a ``SyntaxError``.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "securetransport-lock.sha256")
REQUIREMENTS = os.path.join(ROOT, "requirements")
COLLECTION = os.path.join(ROOT, ".ansible", "collections", "ansible_collections", "securetransport")
PROJECTS = ("agents", "examples", "lab")
INPUTS = (
    "requirements/bootstrap.txt",
    "requirements/dev.txt",
    *[project + "/pyproject.toml" for project in PROJECTS],
)
OLDEST = (3, 11)
NEWEST = (3, 13)


def stop(message):
    """End with one clear line."""
    sys.exit("bootstrap: " + message)


def version_text(version):
    """Return ``major.minor``."""
    return "%d.%d" % version[:2]


def check_place(root=ROOT):
    """Refuse a checkout whose path the tools that it is made with do not take.

    Ansible finds its own plugins by patterns, so brackets and wildcards of its place hide them; a
    virtual environment cannot lie in a path with a colon, and installers read ``#`` as the end.
    """
    unfit = sorted({letter for letter in root if letter in "[]*?:#{}" or letter < " "})
    if unfit:
        stop(
            "%r: Ansible and pip do not work in a path with %s; move the checkout"
            % (root, " ".join(map(repr, unfit)))
        )


def find_python(version=sys.version_info, executable=sys.executable):
    """Return the command of a supported interpreter; this one if it is."""
    if OLDEST <= version[:2] <= NEWEST:
        return executable
    probe = "import sys; sys.exit(sys.version_info[:2] != (3, %d))"
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        command = shutil.which("python3.%d" % minor)
        if command and not subprocess.call(
            [command, "-c", probe % minor], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ):
            return command
    return stop(
        "Python %s to %s is needed, %s is Python %s; name another one: make PYTHON=/path/to/python3"
        % (
            version_text(OLDEST),
            version_text(NEWEST),
            executable,
            version_text(version),
        )
    )


def run(command, what):
    """Run a command quietly; its output is shown only when it fails."""
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode("utf-8", "replace"))
        stop("%s failed (exit code %d); its output is above" % (what, done.returncode))


def digest(python):
    """Return what the environment depends on, as one digest."""
    told = subprocess.check_output([python, "-c", "import sys; print(sys.version)"])
    sha = hashlib.sha256(told + ROOT.encode())
    for name in INPUTS:
        with open(os.path.join(ROOT, name), "rb") as file:
            sha.update(file.read())
    return sha.hexdigest()


def stamp():
    """Return the digest that the present environment was made from; empty if there is none."""
    if not os.path.exists(PYTHON) or not os.path.exists(STAMP):
        return ""
    with open(STAMP) as file:
        return file.read()


def is_of_this_place():
    """Tell whether .venv works and was made here; scripts of a moved one point to the old place."""
    settings = os.path.join(VENV, "pyvenv.cfg")
    if not os.path.exists(settings) or not os.path.exists(PYTHON):
        return False
    if subprocess.call([PYTHON, "-m", "pip", "--version"], stdout=subprocess.DEVNULL):
        return False
    with open(settings) as file:
        return VENV in file.read()


def name_projects_without_this_place():
    """Let site-packages name the projects by relative paths, which are ASCII.

    Python reads these files in the encoding of the locale, and does not start at all where a letter
    of the checkout's path is not in it.
    """
    for packages in glob.glob(os.path.join(glob.escape(VENV), "lib", "python*", "site-packages")):
        for file in glob.glob(os.path.join(glob.escape(packages), "_editable_impl_*.pth")):
            with open(file, "rb") as opened:
                lines = opened.read().decode("utf-8").splitlines()
            named = [
                os.path.relpath(line, packages) if line.startswith(ROOT) else line for line in lines
            ]
            with open(file, "wb") as opened:
                opened.write("".join(line + "\n" for line in named).encode("utf-8"))


def make_environment(python):
    """Create the virtual environment, or take the one of this place, and install what is locked."""
    if not is_of_this_place():
        if subprocess.call([python, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL):
            stop("%s has no venv module; on Debian and Ubuntu: apt install python3-venv" % python)
        run([python, "-m", "venv", "--clear", VENV], "creating .venv")
    bootstrap = os.path.join(REQUIREMENTS, "bootstrap.txt")
    locked = os.path.join(REQUIREMENTS, "dev.txt")
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = ["--require-hashes", "-r"]
    ours = ["--no-build-isolation", "--no-deps"]
    for project in PROJECTS:
        ours += ["--editable", os.path.join(ROOT, *project.split("/"))]
    has_uv = not subprocess.call(
        [*pip, "--only-binary", ":all:", *wanted, bootstrap],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if has_uv:
        pip = [PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON]
    else:
        print("bootstrap: no uv for this machine; pip does it, more slowly", flush=True)
    run([*pip, *wanted, locked], "installing requirements/dev.txt")
    run([*pip, *ours], "installing agents, examples and lab")
    name_projects_without_this_place()


def make_link_tree():
    """Let ansible find the checkout as a collection: ansible.cfg names .ansible/collections."""
    link = os.path.join(COLLECTION, "platform")
    if os.path.islink(link) and os.path.realpath(link) == ROOT:
        return
    os.makedirs(COLLECTION, exist_ok=True)
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(os.path.relpath(ROOT, COLLECTION), link)


def main():
    """Make what is missing; end at once when nothing is."""
    check_place()
    # An existing environment keeps its interpreter: `make` with another python3 changes nothing.
    present = stamp()
    if not present or present != digest(PYTHON):
        python = find_python()
        print("bootstrap: making .venv, takes about a minute the first time", flush=True)
        make_environment(python)
        with open(STAMP, "w") as file:
            file.write(digest(PYTHON))
    make_link_tree()


if __name__ == "__main__":
    main()
