#!/usr/bin/env python3
"""Expire old snapshots: the same as `stratigraph retention cleanup`, with the same flags, output and exit codes."""

from __future__ import annotations

import sys

from app.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["retention", "cleanup", *sys.argv[1:]]))
