"""Partitions as manifests have them."""

from __future__ import annotations

import math

from pyiceberg.typedef import Record


def unify_nan(partition: Record) -> Record:
    """The same record, now equal to others of its values also where one is NaN, as it is to Iceberg's own library.

    Each NaN in it becomes the same object, which lists take for equal to itself.
    """
    for place in range(len(partition)):
        value = partition[place]
        if isinstance(value, float) and math.isnan(value):
            partition[place] = math.nan
    return partition
