from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import BackendUnavailableError, HomeInUseError
from app.postgres.locks import FileLock, ServerLock, find_server

URL = "http://127.0.0.1:8000"


def test_exclusive_lock_excludes_every_other_holder(tmp_path: Path) -> None:
    held, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert held.try_acquire()

    assert not other.try_acquire()
    assert not other.try_acquire(shared=True)

    held.close()
    assert other.try_acquire()
    other.close()


def test_shared_lock_becomes_exclusive_for_the_last_holder_only(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire(shared=True)
    assert second.try_acquire(shared=True)

    assert not first.try_acquire()
    first.close()

    assert second.try_acquire()
    second.close()


def test_lock_outlives_its_owner_in_a_child_that_was_given_it(tmp_path: Path) -> None:
    ours, probe = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert ours.try_acquire()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[ours.fileno()])

    ours.close()
    assert not probe.try_acquire()

    child.communicate()
    assert probe.acquire(timeout_s=10)
    probe.close()


def test_lock_is_not_inherited_by_a_child_that_was_not_given_it(tmp_path: Path) -> None:
    ours, probe = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert ours.try_acquire()
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)

    ours.close()

    assert probe.try_acquire()
    child.communicate()
    probe.close()


def test_waiting_for_a_held_lock_ends_with_a_typed_error(tmp_path: Path) -> None:
    held = FileLock(tmp_path / "lock")
    assert held.try_acquire()

    with pytest.raises(BackendUnavailableError, match="stayed locked"), FileLock(tmp_path / "lock").held(timeout_s=0):
        pass
    held.close()


def test_second_server_learns_who_holds_the_home(tmp_path: Path) -> None:
    first = ServerLock(tmp_path)
    first.acquire(URL)

    with pytest.raises(HomeInUseError) as caught:
        ServerLock(tmp_path).acquire("http://127.0.0.1:9000")

    assert caught.value.fields == {"home": str(tmp_path), "pid": os.getpid(), "url": URL}
    found = find_server(tmp_path)
    assert found is not None
    assert (found.pid, found.url) == (os.getpid(), URL)
    assert found.started_at is not None
    first.release()


def test_a_refused_server_does_not_take_the_home_from_its_holder(tmp_path: Path) -> None:
    first = ServerLock(tmp_path)
    first.acquire(URL)
    refused = ServerLock(tmp_path)
    with pytest.raises(HomeInUseError):
        refused.acquire()
    refused.release()

    with pytest.raises(HomeInUseError):
        ServerLock(tmp_path).acquire()
    first.release()


def test_announcing_a_shorter_url_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    with ServerLock(tmp_path) as lock:
        lock.announce("http://127.0.0.1:8000/with/a/long/path")
        lock.announce(URL)

        found = find_server(tmp_path)

    assert found is not None
    assert found.url == URL


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": null}'], ids=["empty", "cut", "other", "no pid"])
def test_unreadable_holder_still_holds(tmp_path: Path, text: bytes) -> None:
    with ServerLock(tmp_path):
        (tmp_path / "serve.lock").write_bytes(text)

        with pytest.raises(HomeInUseError) as caught:
            ServerLock(tmp_path).acquire()

    assert caught.value.fields["pid"] is None


def test_no_server_is_found_before_and_after_one(tmp_path: Path) -> None:
    assert find_server(tmp_path) is None
    with ServerLock(tmp_path):
        pass
    assert find_server(tmp_path) is None


def test_home_of_a_killed_server_is_free(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from app.postgres.locks import ServerLock; lock = ServerLock(pathlib.Path(sys.argv[1])); "
        "lock.acquire('http://127.0.0.1:1'); print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"held\n"
    with pytest.raises(HomeInUseError) as caught:
        ServerLock(tmp_path).acquire()
    assert caught.value.fields["pid"] == child.pid

    child.send_signal(signal.SIGKILL)
    child.communicate()

    with ServerLock(tmp_path):
        found = find_server(tmp_path)
    assert found is not None
    assert found.pid == os.getpid()
