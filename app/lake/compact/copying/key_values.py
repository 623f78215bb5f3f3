"""What a joined file says of who wrote it, and which notes of its sources it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from app.lake.compact.copying.footers import Footer
from app.lake.parquet.fields import FileFields, KeyValueFields
from app.lake.parquet.thrift import Struct, of_bytes, write_list, write_struct
from app.lake.parquet.wire import STRUCT

# What parquet-java's ParquetRewriter calls it, with a line for each writer.
ORIGINAL_CREATED_BY = b"original.created.by"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """Fields of the joined file's footer, and the keys of those notes that it has not."""

    fields: Struct
    dropped: tuple[str, ...]


def merge_key_values(footers: Sequence[Footer]) -> KeyValues:
    """The notes (Arrow's schema, Iceberg's …) that are the same in all files, and who wrote them.

    Readers go by the writer in what they trust, so it stays where it is one. Where there are several, the file says
    that it is ours, and names them in a note of its own.
    """
    notes = [[note for note in footer.notes if note.key != ORIGINAL_CREATED_BY] for footer in footers]
    common = set(notes[0]).intersection(*notes[1:])
    dropped = {note.key for of_file in notes for note in of_file if note not in common}
    elements = [note.raw for note in dict.fromkeys(notes[0]) if note in common]
    writers = list(dict.fromkeys(footer.created_by or b"" for footer in footers))
    originals = list(dict.fromkeys(name for footer in footers for name in _originals(footer)))
    if originals != writers or len(writers) > 1:
        elements.append(_note(ORIGINAL_CREATED_BY, b"\n".join(originals)))
    fields: Struct = {FileFields.CREATED_BY: of_bytes(writers[0] if len(writers) == 1 else _ourselves())}
    if elements:
        fields[FileFields.KEY_VALUE_METADATA] = write_list(STRUCT, elements)
    return KeyValues(fields=fields, dropped=tuple(sorted(key.decode(errors="replace") for key in dropped)))


def _originals(footer: Footer) -> list[bytes]:
    for note in footer.notes:
        if note.key == ORIGINAL_CREATED_BY:
            return note.value.split(b"\n")
    return [footer.created_by or b""]


def _note(key: bytes, value: bytes) -> bytes:
    return write_struct({KeyValueFields.KEY: of_bytes(key), KeyValueFields.VALUE: of_bytes(value)})


def _ourselves() -> bytes:
    """Our own name, written as readers take names apart."""
    try:
        number = version("stratigraph")
    except PackageNotFoundError:
        number = "0.0.0"
    return f"stratigraph version {number}".encode()
