from pathlib import Path

import pytest

from adapters.local.machine import memory_bytes, processors, runs_carried

GIB = 1024**3


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("nonsense", None)],
)
def test_a_container_has_the_processors_it_is_given(
    tmp_path: Path, quota: str, expected: int | None
) -> None:
    unbounded = processors(tmp_path)
    (tmp_path / "cpu.max").write_text(f"{quota}\n")

    assert processors(tmp_path) == (expected or unbounded)


def test_a_container_has_the_memory_it_is_given(tmp_path: Path) -> None:
    unbounded = memory_bytes(tmp_path)
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory_bytes(tmp_path) == 1048576
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_bytes(tmp_path) == unbounded


@pytest.mark.parametrize(
    ("cores", "memory", "runs"),
    [(2, 16 * GIB, 50), (2, 4 * GIB, 32), (1, 64 * GIB, 25), (8, 64 * 1024**2, 1)],
)
def test_runs_are_carried_by_processors_and_memory(cores: int, memory: int, runs: int) -> None:
    assert runs_carried(cores, memory) == runs
