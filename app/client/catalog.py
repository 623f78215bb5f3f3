"""The one object that a Python program works with."""

from __future__ import annotations

from app.client.compacting import Compacting
from app.client.models import Models
from app.client.operations import Operations
from app.client.pipelines import Pipelines
from app.client.retaining import Retaining
from app.client.tables import Tables


class IcebergCatalog(Tables, Models, Pipelines, Operations, Retaining, Compacting):
    """The versions of the tables of one catalog, and the models and pipelines that use them.

    Works in scripts, notebooks and inside a running event loop: everything runs on an event loop of its own, in a
    thread of its own. It is opened by the first call and closed by `close`, by the end of a `with` block, or by the
    end of the program. Safe to share between threads.
    """
