"""The sample lake of `stratigraph demo load`: real TPC-H data in tables with eventful histories.

`load_sample_lake` builds it; `SAMPLE_TAGS` says which tags belong to it, to be set by whoever records changes.
"""

from app.lake.sample.load import DEFAULT_SCALE, SampleReport, SampleStep, load_sample_lake
from app.lake.sample.plans import SampleTable
from app.lake.sample.silver import EXPERIMENT_BRANCH
from app.lake.sample.tables import SAMPLE_TABLES
from app.lake.sample.tags import SAMPLE_TAGS, SampleTag, find_step_snapshot_id

__all__ = [
    "DEFAULT_SCALE",
    "EXPERIMENT_BRANCH",
    "SAMPLE_TABLES",
    "SAMPLE_TAGS",
    "SampleReport",
    "SampleStep",
    "SampleTable",
    "SampleTag",
    "find_step_snapshot_id",
    "load_sample_lake",
]
