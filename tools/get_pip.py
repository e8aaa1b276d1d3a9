"""Give an empty virtual environment the pip that comes with its interpreter.

``ansible-test`` makes environments without pip and would download a script like this one; the
sanity session puts this one into its cache instead, so that no unnamed code is fetched.
Arguments (the pip version that ansible-test prefers) are ignored.

The bundled wheel is unpacked in place, because a fresh checkout does it nine times and
``ensurepip`` takes seconds. Debian keeps the wheel elsewhere; there ``ensurepip`` does it.
"""

from __future__ import annotations

import ensurepip
import sysconfig
import zipfile
from pathlib import Path

bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
if bundled:
    with zipfile.ZipFile(bundled[-1]) as wheel:
        wheel.extractall(sysconfig.get_path("purelib"))
else:
    ensurepip.bootstrap()
