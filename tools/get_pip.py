"""Give an empty virtual environment the pip that comes with its interpreter.

``ansible-test`` makes environments without pip and would download a script like this one; the
sanity session puts this one into its cache instead, so that no unnamed code is fetched.
Arguments (the pip version that ansible-test prefers) are ignored.

The bundled wheel is unpacked in place, because a fresh checkout does it nine times and
``ensurepip`` takes seconds; where no wheel is found, it does it.
"""

from __future__ import annotations

import ensurepip
import sysconfig
import zipfile
from pathlib import Path

FOLDERS = (
    Path(ensurepip.__file__).parent / "_bundled",
    Path("/usr/share/python-wheels"),  # Debian and Ubuntu
)

bundled = [wheel for folder in FOLDERS for wheel in sorted(folder.glob("pip-*.whl"))]
if bundled:
    with zipfile.ZipFile(bundled[0]) as wheel:
        wheel.extractall(sysconfig.get_path("purelib"))
else:
    ensurepip.bootstrap()
