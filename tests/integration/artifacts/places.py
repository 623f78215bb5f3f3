"""Places with files, filled and looked at without the code under test."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

import boto3

Tree = dict[str, bytes]


class Place(Protocol):
    uri: str

    def fill(self, tree: Tree) -> None: ...

    def tree(self) -> Tree: ...

    def sizes(self) -> dict[str, int]: ...

    def state(self) -> dict[str, Any]: ...

    def delete(self, path: str) -> None: ...

    def clear(self) -> None: ...


class LocalPlace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = str(folder)

    def fill(self, tree: Tree) -> None:
        for path, content in tree.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(content)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def tree(self) -> Tree:
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in self._files()}

    def sizes(self) -> dict[str, int]:
        return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in self._files()}

    def state(self) -> dict[str, Any]:
        return {
            path.relative_to(self.folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
            for path in self._files()
        }

    def delete(self, path: str) -> None:
        (self.folder / path).unlink()

    def clear(self) -> None:
        shutil.rmtree(self.folder)


class S3Place:
    bucket = "lake"

    def __init__(self, properties: dict[str, str], prefix: str) -> None:
        self._client = boto3.client(
            "s3",
            endpoint_url=properties["s3.endpoint"],
            region_name=properties["s3.region"],
            aws_access_key_id=properties["s3.access-key-id"],
            aws_secret_access_key=properties["s3.secret-access-key"],
        )
        self._prefix = prefix
        self.uri = f"s3://{self.bucket}/{prefix}"

    def fill(self, tree: Tree) -> None:
        for path, content in tree.items():
            self._client.put_object(Bucket=self.bucket, Key=f"{self._prefix}/{path}", Body=content)

    def _objects(self) -> dict[str, Any]:
        listed = self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._prefix + "/")
        return {one["Key"].removeprefix(self._prefix + "/"): one for one in listed.get("Contents", [])}

    def tree(self) -> Tree:
        return {
            path: self._client.get_object(Bucket=self.bucket, Key=f"{self._prefix}/{path}")["Body"].read()
            for path in self._objects()
        }

    def sizes(self) -> dict[str, int]:
        return {path: one["Size"] for path, one in self._objects().items()}

    def state(self) -> dict[str, Any]:
        return {path: (one["ETag"], one["LastModified"]) for path, one in self._objects().items()}

    def delete(self, path: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=f"{self._prefix}/{path}")

    def clear(self) -> None:
        for path in self._objects():
            self.delete(path)
