"""Whom changes are recorded under where nobody else is named."""

from __future__ import annotations

import getpass
import os


def os_user() -> str:
    """Name of the user of the operating system; its number where a container gives it no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
