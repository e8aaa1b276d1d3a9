"""What the lab says when it cannot do what was asked: one line, with what to do."""

from __future__ import annotations


class LabError(Exception):
    """A reason a person can act on; the command line prints it as one line and exits with its code.

    Args:
        what: What is wrong, naming the thing.
        remedy: What to do about it; may be empty where nothing can be done.
        log: Lines that explain it, such as the end of a component's log.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "", log: str = "") -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
        self.log = log


class UnfitError(LabError):
    """This machine is of a kind that cannot carry the lab: its system, kernel or user.

    Other errors of a preflight can be cleared on the machine: a program, disk, a network.
    """

    exit_code = 3


class PointlessError(LabError):
    """What was waited for cannot come any more; a wait ends at once with it."""
