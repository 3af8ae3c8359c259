"""What a figure was measured on: printed by every benchmark."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def environment(*peers: str) -> str:
    """One line: processors, system, Python and the libraries that matter to speed, `peers` among them."""
    libraries = " ".join(f"{name} {version(name)}" for name in ("keras", "numpy", "pyarrow", "scikit-learn", *peers))
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{machine}, Python {platform.python_version()}, {libraries}"
