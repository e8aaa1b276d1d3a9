"""Give an empty virtual environment the pip that comes with its interpreter.

``ansible-test`` makes environments without pip and would download a script like this one; the
sanity session puts this one into its cache instead, so that no unnamed code is fetched.
Arguments (the pip version that ansible-test prefers) are ignored.
"""

from __future__ import annotations

import ensurepip

ensurepip.bootstrap()
