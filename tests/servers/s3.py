"""An S3 store for tests: moto's server in a process of its own."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BUCKET = "lake"
_REGION = "us-east-1"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Yield pyiceberg catalog properties (`s3.…` and `warehouse`) of a new, empty store on 127.0.0.1.

    The bucket exists; its objects live in the server's memory and end with it.

    Raises:
        RuntimeError: the server did not start.
    """
    # Imported here: the child that runs this file as a script needs neither.
    import boto3

    from tests.servers.process import ready_process

    with (
        tempfile.TemporaryDirectory() as folder,
        ready_process([sys.executable, __file__], log=Path(folder) / "s3.log") as endpoint,
    ):
        properties = {
            "s3.endpoint": endpoint,
            "s3.access-key-id": "test",
            "s3.secret-access-key": "test",
            "s3.region": _REGION,
            "warehouse": f"s3://{_BUCKET}/warehouse",
        }
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=_REGION,
            aws_access_key_id=properties["s3.access-key-id"],
            aws_secret_access_key=properties["s3.secret-access-key"],
        ).create_bucket(Bucket=_BUCKET)
        yield properties


def _serve_until_stdin_ends() -> None:
    # Without its own folder on the path: `import s3…` inside the libraries must not find this file.
    sys.path.pop(0)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"READY http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    _serve_until_stdin_ends()
