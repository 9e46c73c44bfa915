from __future__ import annotations

from typing import Any

import pytest

from aucond.train import memory


class Allocator:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def mallopt(self, option: int, value: int) -> int:
        self.calls.append((option, value))
        return 1

    def malloc_trim(self, pad: int) -> int:
        self.calls.append("trim")
        return 1


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Allocator:
    for name in memory._CHOICES:
        monkeypatch.delenv(name, raising=False)
    found = Allocator()
    monkeypatch.setattr(memory, "_glibc", lambda: found)
    return found


def test_memory_is_kept_and_given_back_also_after_an_error(allocator: Allocator) -> None:
    with pytest.raises(KeyError), memory.kept_memory() as kept:
        assert kept and allocator.calls == [(-4, 0), (-1, 2**31 - 1)]
        raise KeyError
    assert allocator.calls[2:] == [(-1, 64 * 2**20), (-3, 32 * 2**20), (-4, 65536), "trim"]


@pytest.mark.parametrize("name", ["MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_what_the_environment_says_is_left_alone(
    allocator: Allocator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with memory.kept_memory() as kept:
        assert not kept
    assert not allocator.calls


def test_nothing_happens_without_glibc_or_unasked(
    allocator: Allocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with memory.kept_memory(wanted=False) as kept:
        assert not kept
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with memory.kept_memory() as kept:
        assert not kept
    assert not allocator.calls
