"""The Python face: versions of tables, models and pipelines, synchronous, with the rules and records of every face.

Comparisons and checks are coroutines, which open what they need by themselves.

>>> from app.client import IcebergCatalog
>>> with IcebergCatalog() as catalog:  # doctest: +SKIP
...     catalog.list_snapshots("gold", "customers")
"""

from app.client.catalog import IcebergCatalog
from app.client.checking import check_dataset_rows, check_dataset_schema, check_model
from app.client.compaction import IcebergCompactionManager
from app.client.comparing import compare_dataset_data, compare_dataset_schema
from app.client.comparing_metadata import compare_dataset_commits, compare_dataset_files, compare_dataset_stats
from app.client.comparing_registry import compare_model_performance, compare_pipeline_versions
from app.client.models import ModelVersionResult
from app.client.pipelines import PipelineVersionResult, PromotionResult
from app.client.retention import IcebergRetentionManager
from app.client.tables import RollbackResult, TagResult
from app.client.version_tags import VersionTagResult
from app.domain.compaction.policy import CompactionPolicy
from app.domain.retention.policy import RetentionPolicy

__all__ = [
    "CompactionPolicy",
    "IcebergCatalog",
    "IcebergCompactionManager",
    "IcebergRetentionManager",
    "ModelVersionResult",
    "PipelineVersionResult",
    "PromotionResult",
    "RetentionPolicy",
    "RollbackResult",
    "TagResult",
    "VersionTagResult",
    "check_dataset_rows",
    "check_dataset_schema",
    "check_model",
    "compare_dataset_commits",
    "compare_dataset_data",
    "compare_dataset_files",
    "compare_dataset_schema",
    "compare_dataset_stats",
    "compare_model_performance",
    "compare_pipeline_versions",
]
