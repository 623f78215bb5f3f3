#!/usr/bin/env python3
"""Bring small files together: the same as `stratigraph compaction run`, with the same flags, output and exit codes."""

from __future__ import annotations

import sys

from app.cli.main import run

if __name__ == "__main__":
    sys.exit(run(["compaction", "run", *sys.argv[1:]]))
