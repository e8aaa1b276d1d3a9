"""Wait for a condition with a limit; when it does not come, say what was seen last."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.errors import LabError, PointlessError


def wait_for(
    what: str,
    condition: Callable[[], bool | str],
    *,
    limit_seconds: float,
    every_seconds: float = 0.1,
    explain: Callable[[], str] = str,
) -> float:
    """Return when the condition holds.

    Args:
        what: Named in the error: ``"the API server of c1"``.
        condition: ``True`` when it holds; a text says what is missing. An error of the lab counts
            as missing, with its text; a :class:`PointlessError` ends the wait.
        limit_seconds: Longest wait.
        every_seconds: Pause between two looks.
        explain: The log that explains a failure.

    Returns:
        How long it took, in seconds.

    Raises:
        LabError: It did not hold in time; the log of ``explain`` is with it.
    """
    begun = time.monotonic()
    while True:
        seen: bool | str
        try:
            seen = condition()
        except PointlessError:
            raise
        except LabError as error:
            seen = error.what
        took = time.monotonic() - begun
        if seen is True:
            return took
        if took > limit_seconds:
            last = f": {seen}" if isinstance(seen, str) and seen else ""
            raise LabError(f"{what} was not there after {limit_seconds:.0f} s{last}", log=explain())
        time.sleep(every_seconds)
