"""The logs of jobs: rotated, pruned, followed."""

from __future__ import annotations

import contextlib
import stat
from pathlib import Path

import pytest

from airbyte_dagster.local import joblogs
from airbyte_dagster.local.joblogs import JobLog
from airbyte_dagster_tests.local.fakes import RunningAirbyte


def test_a_long_log_keeps_its_end(tmp_path: Path) -> None:
    """A log never grows beyond its cap, keeps at least half of that, and both parts are private."""
    path = tmp_path / "logs" / "job-1.log"
    with contextlib.closing(JobLog(path, 2000)) as log:
        for number in range(200):
            log.write(f"line {number}")
    text = joblogs.read(path)
    assert text.endswith("line 199\n")
    numbers = [int(line.rsplit(" ", 1)[1]) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 200))
    assert 1000 <= len(text) <= 2000
    for part in path.parent.iterdir():
        assert stat.S_IMODE(part.stat().st_mode) == 0o600


@pytest.mark.parametrize("most", [10, 100, 1100, 1900, 10_000])
def test_the_end_of_a_log(most: int, tmp_path: Path) -> None:
    """Whole lines, as many as fit, of both parts; and whether that is all of it."""
    path = tmp_path / "job-1.log"
    assert joblogs.read_end(path, most) == ("", False)
    with contextlib.closing(JobLog(path, 2000)) as log:
        for number in range(200):
            log.write(f"line {number}")
    whole = joblogs.read(path).splitlines(keepends=True)
    first = next(number for number in range(len(whole) + 1) if len("".join(whole[number:])) <= most)
    found, is_cut = joblogs.read_end(path, most)
    assert is_cut == (first > 0)
    # A line that would just fit is left out: its beginning can't be told from the middle of one.
    assert found in {"".join(whole[first:]), "".join(whole[first + 1 :])}


def test_endless_line_is_cut(tmp_path: Path) -> None:
    """One line can't fill the log."""
    path = tmp_path / "job-1.log"
    with contextlib.closing(JobLog(path, 2000)) as log:
        log.write("x" * 10_000)
    assert len(joblogs.read(path)) < 1000


def test_full_disk_ends_the_log_only(tmp_path: Path) -> None:
    """An error while writing is no error of the job."""
    path = tmp_path / "job-1.log"
    path.symlink_to("/dev/full")
    with contextlib.closing(JobLog(path)) as log:
        log.write("one")
        log.write("two")


def make(directory: Path, *jobs: int, size: int = 10) -> None:
    for job in jobs:
        (directory / f"job-{job}.log").write_text("x" * size)


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_oldest_logs_go_first(tmp_path: Path) -> None:
    """Beyond the number of jobs the oldest are deleted, older parts included, but not those of active jobs."""
    make(tmp_path, 1, 2, 9, 10, 11)
    (tmp_path / "job-2.log.1").write_text("x")
    (tmp_path / "other").write_text("x")
    joblogs.prune(tmp_path, {1}, most_jobs=2)
    assert left(tmp_path) == ["job-1.log", "job-10.log", "job-11.log", "other"]


def test_logs_are_pruned_by_size(tmp_path: Path) -> None:
    """Beyond the total size the oldest are deleted."""
    make(tmp_path, 1, 2, 3, size=40)
    joblogs.prune(tmp_path, set(), most_bytes=100)
    assert left(tmp_path) == ["job-2.log", "job-3.log"]


def test_each_job_prunes(airbyte: RunningAirbyte, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that starts deletes what is too much."""
    make(airbyte.home.logs, 900, 901)
    monkeypatch.setattr(joblogs.prune, "__kwdefaults__", {"most_jobs": 1, "most_bytes": 1000})
    with airbyte.api() as api:
        api.finish(api.sync(api.connection(api.source(count=1), api.destination(), ["users"])))
    assert left(airbyte.home.logs) == ["job-901.log"]


def test_following_sees_every_line_once(tmp_path: Path) -> None:
    """A log that grows and is rotated meanwhile is read to its end, also what came with the end of the job."""
    path = tmp_path / "job-1.log"
    log = JobLog(path, 400)
    written = iter(range(30))
    looks = 0

    def write() -> None:
        for _ in range(3):
            log.write(f"line {next(written)}")

    def has_ended() -> bool:
        nonlocal looks
        looks += 1
        if looks == 10:
            write()
        return looks == 10

    text = "".join(joblogs.follow(path, has_ended, write))
    log.close()
    assert [int(line.rsplit(" ", 1)[1]) for line in text.splitlines()] == list(range(30))
    assert joblogs.older(path).exists()
