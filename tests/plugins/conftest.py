# SPDX-License-Identifier: Apache-2.0
"""Backends are imported as ``module_utils``, from the folder of the plugins: without Ansible."""

from __future__ import annotations

import sys
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
sys.path.insert(0, str(PLUGINS))
