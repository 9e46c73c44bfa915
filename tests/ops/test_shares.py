"""Shares of work in torch's own threads: each done once, errors come back, and it does without the runtime."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from aucond.ops import _shares
from aucond.ops._shares import run_shares

with_the_runtime = pytest.mark.skipif(_shares._gnu_parallel() is None, reason="torch runs on another OpenMP")


@pytest.mark.parametrize("count", [1, 2, 7])
def test_every_share_is_done_once(count: int) -> None:
    done: list[int] = []
    run_shares(count, done.append)
    assert sorted(done) == list(range(count))


@with_the_runtime
def test_shares_run_at_the_same_time_and_not_in_the_caller_alone() -> None:
    meeting, threads = threading.Barrier(2, timeout=60), set()

    def work(_: int) -> None:
        threads.add(threading.get_native_id())
        meeting.wait()  # one thread alone would never get past

    run_shares(2, work)
    assert len(threads) == 2


def test_without_the_runtime_the_caller_does_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shares, "_gnu_parallel", lambda: None)
    done: list[tuple[int, int]] = []
    run_shares(3, lambda i: done.append((i, threading.get_ident())))
    assert done == [(i, threading.get_ident()) for i in range(3)]


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_comes_back(count: int) -> None:
    def work(index: int) -> None:
        raise ValueError(f"share {index}")

    with pytest.raises(ValueError, match="share"):
        run_shares(count, work)


def test_many_callers_at_once() -> None:
    def caller(_: int) -> list[int]:
        done: list[int] = []
        run_shares(4, lambda i: (time.sleep(0.001), done.append(i))[1])
        return sorted(done)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(caller, range(12))) == [[0, 1, 2, 3]] * 12
