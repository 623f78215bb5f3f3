"""The fields of Parquet's structs that have to be known here, by their ids.

Source: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, as of July 2026 (2.12 and
what was added since).
"""

from __future__ import annotations

from typing import Final


class FileFields:
    """Of FileMetaData."""

    VERSION: Final = 1
    SCHEMA: Final = 2
    NUM_ROWS: Final = 3
    ROW_GROUPS: Final = 4
    KEY_VALUE_METADATA: Final = 5
    CREATED_BY: Final = 6
    COLUMN_ORDERS: Final = 7
    ENCRYPTION_ALGORITHM: Final = 8
    FOOTER_SIGNING_KEY_METADATA: Final = 9
    LAST: Final = 9


class SchemaFields:
    """Of SchemaElement."""

    TYPE: Final = 1
    LENGTH: Final = 2
    REPETITION: Final = 3
    NAME: Final = 4
    NUM_CHILDREN: Final = 5
    NAMES: Final = {
        1: "physical type",
        2: "length",
        3: "repetition",
        4: "name",
        5: "number of children",
        6: "converted type",
        7: "scale",
        8: "precision",
        9: "field id",
        10: "logical type",
    }


class RowGroupFields:
    """Of RowGroup."""

    COLUMNS: Final = 1
    TOTAL_BYTE_SIZE: Final = 2
    NUM_ROWS: Final = 3
    SORTING_COLUMNS: Final = 4
    FILE_OFFSET: Final = 5
    TOTAL_COMPRESSED_SIZE: Final = 6
    ORDINAL: Final = 7
    LAST: Final = 7


class ChunkFields:
    """Of ColumnChunk."""

    FILE_PATH: Final = 1
    FILE_OFFSET: Final = 2
    META_DATA: Final = 3
    OFFSET_INDEX_OFFSET: Final = 4
    OFFSET_INDEX_LENGTH: Final = 5
    COLUMN_INDEX_OFFSET: Final = 6
    COLUMN_INDEX_LENGTH: Final = 7
    CRYPTO_METADATA: Final = 8
    ENCRYPTED_COLUMN_METADATA: Final = 9
    LAST: Final = 9


class ColumnFields:
    """Of ColumnMetaData."""

    TYPE: Final = 1
    ENCODINGS: Final = 2
    PATH: Final = 3
    CODEC: Final = 4
    NUM_VALUES: Final = 5
    TOTAL_UNCOMPRESSED_SIZE: Final = 6
    TOTAL_COMPRESSED_SIZE: Final = 7
    DATA_PAGE_OFFSET: Final = 9
    INDEX_PAGE_OFFSET: Final = 10
    DICTIONARY_PAGE_OFFSET: Final = 11
    STATISTICS: Final = 12
    ENCODING_STATS: Final = 13
    BLOOM_FILTER_OFFSET: Final = 14
    BLOOM_FILTER_LENGTH: Final = 15
    SIZE_STATISTICS: Final = 16
    LAST: Final = 17


class SizeStatisticsFields:
    """Of SizeStatistics."""

    UNENCODED_BYTES: Final = 1


class StatisticsFields:
    """Of Statistics."""

    NULL_COUNT: Final = 3
    MAX_VALUE: Final = 5
    MIN_VALUE: Final = 6
    IS_MAX_VALUE_EXACT: Final = 7
    IS_MIN_VALUE_EXACT: Final = 8


class KeyValueFields:
    """Of KeyValue."""

    KEY: Final = 1
    VALUE: Final = 2


class PageLocationFields:
    """Of PageLocation, and the list of them in OffsetIndex."""

    PAGE_LOCATIONS: Final = 1
    OFFSET: Final = 1


class BloomFilterFields:
    """Of BloomFilterHeader."""

    NUM_BYTES: Final = 1


class EncodingStatsFields:
    """Of PageEncodingStats."""

    PAGE_TYPE: Final = 1
    ENCODING: Final = 2
    COUNT: Final = 3


class PageFields:
    """Of PageHeader."""

    TYPE: Final = 1
    UNCOMPRESSED_SIZE: Final = 2
    COMPRESSED_SIZE: Final = 3
    CRC: Final = 4
    OF_DATA: Final = 5
    OF_DICTIONARY: Final = 7
    OF_DATA_V2: Final = 8


class DataPageFields:
    """Of DataPageHeader and of DictionaryPageHeader."""

    NUM_VALUES: Final = 1
    ENCODING: Final = 2
    DEFINITION_ENCODING: Final = 3
    REPETITION_ENCODING: Final = 4


class DataPageV2Fields:
    """Of DataPageHeaderV2."""

    NUM_VALUES: Final = 1
    NUM_NULLS: Final = 2
    NUM_ROWS: Final = 3
    ENCODING: Final = 4
    DEFINITION_BYTES: Final = 5
    REPETITION_BYTES: Final = 6
    IS_COMPRESSED: Final = 7
