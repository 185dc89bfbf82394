"""The measured lines of `benchmarks.workspace`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airbyte_dagster_tests.clients.environments import python_environment
from benchmarks.measured import Used, run_program
from benchmarks.simulated_airbyte.process import RunningSimulation, running_simulation

PYTHON = Path(sys.executable)
#: Arguments of ``load_defs``.
OURS = ("defs_ours", "airbyte_dagster.workspaces.definitions")
#: A load is short, so that what else the machine does shows in it: the best of some counts.
_TIMES = 3


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        part: Which part it is of.
        ratio: How many times better this package is.
        reach: What was to be reached.
        reached: Whether it was; ``None`` where nothing was said.
        figures: The same and more, as numbers.
    """

    part: str
    work: str
    ours: str
    neighbour: str = ""
    ratio: str = ""
    reach: str = ""
    reached: bool | None = None
    figures: dict[str, Any] = field(default_factory=dict)


@contextmanager
def workspace(connections: int, streams: int, **options: Any) -> Iterator[tuple[RunningSimulation, dict[str, str]]]:
    """Run a simulated Airbyte; yield it, and the environment of the programs that work with it."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_simulation(connections, streams, **options) as simulation,
    ):
        yield simulation, {**simulation.environment, "STATE": str(Path(directory) / "state.json")}


def neighbour_python() -> Path:
    """Return the Python of the neighbour's environment, made at first use."""
    return python_environment("dagster-airbyte")


def calls_of(simulation: RunningSimulation) -> int:
    """Return how many calls were made, and forget them."""
    calls = simulation.calls().total()
    simulation.forget_records()
    return calls


def load() -> Iterator[Line]:
    """Load definitions for the first time: the workspace is read."""
    with workspace(200, 5) as (simulation, variables):
        runs, calls = [], 0
        for number in range(_TIMES):
            fresh = {**variables, "STATE": f"{variables['STATE']}.{number}"}
            runs.append(run_program(PYTHON, "load_defs", OURS, fresh).said)
            calls = calls_of(simulation)
        their_run = run_program(neighbour_python(), "load_defs", ["defs_neighbour", "dagster_airbyte"], variables).said
        their_calls = calls_of(simulation)
    ours, theirs = min(run["seconds"] for run in runs), their_run["seconds"]
    ours_in_all = min(run["seconds"] + run["import_seconds"] for run in runs)
    theirs_in_all = theirs + their_run["import_seconds"]
    yield Line(
        "load",
        "load 200 connections × 5 streams",
        f"{calls} calls, {ours:.2f} s ({ours_in_all:.2f} s with the import)",
        f"{their_calls} calls, {theirs:.1f} s ({theirs_in_all:.1f} s)",
        f"{theirs / ours:.0f} ({theirs_in_all / ours_in_all:.0f})",
        "8 calls, 40 times",
        calls <= 8 and theirs / ours >= 40,
        {
            "calls": calls,
            "seconds": ours,
            "import_seconds": min(run["import_seconds"] for run in runs),
            "their_calls": their_calls,
            "their_seconds": theirs,
            "their_import_seconds": their_run["import_seconds"],
        },
    )


def load_from_state() -> Iterator[Line]:
    """Load definitions from what was read before."""
    connections, streams = 2000, 10
    size = {"CONNECTIONS": str(connections), "STREAMS": str(streams)}
    with workspace(connections, streams) as (simulation, variables):
        run_program(PYTHON, "load_defs", OURS, variables)
        first_calls = calls_of(simulation)
        ours, bare = [], []
        for _ in range(_TIMES):
            ours.append(run_program(PYTHON, "load_defs", OURS, variables).said)
            bare.append(run_program(PYTHON, "load_defs", ["defs_bare"], size).said)
        calls = calls_of(simulation)
    keys_alone = run_program(PYTHON, "load_defs", ["defs_bare"], {**size, "KEYS_ALONE": "1"}).said["seconds"]
    seconds, bare_seconds = (min(said["seconds"] for said in runs) for runs in (ours, bare))
    peak, bare_peak = (max(said["peak_mb"] for said in runs) for runs in (ours, bare))
    share = seconds / bare_seconds
    yield Line(
        "state",
        f"load {connections:,} × {streams} from state",
        f"{calls} calls, {seconds:.1f} s, {peak:.0f} MB",
        f"Dagster, the same specs: {bare_seconds:.1f} s, {bare_peak:.0f} MB; keys alone: {keys_alone:.1f} s",
        f"1/{share:.2f} (1/{seconds / keys_alone:.2f})",
        "0 calls, 1/1.25, 400 MB",
        calls == 0 and share <= 1.25 and peak < 400,
        {
            "calls": calls,
            "calls_to_read_it": first_calls,
            "seconds": seconds,
            "peak_mb": peak,
            "bare_seconds": bare_seconds,
            "bare_peak_mb": bare_peak,
            "bare_seconds_keys_alone": keys_alone,
        },
    )


def one_sync() -> Iterator[Line]:
    """Run one sync of three seconds: from its end to the first materialization."""
    with workspace(1, 5, job_seconds=3) as (simulation, variables):
        run_program(PYTHON, "load_defs", OURS, variables)
        ours = run_program(PYTHON, "run_job", ["defs_ours", "program"], variables)
        noticed = _noticed(simulation, ours)
    with workspace(1, 5, job_seconds=3) as (simulation, variables):
        theirs = run_program(neighbour_python(), "run_job", ["defs_neighbour", "program"], variables)
        they_noticed = _noticed(simulation, theirs)
    yield Line(
        "one",
        "one sync of 3 s: noticed after its end",
        f"{noticed:.2f} s",
        f"{they_noticed:.1f} s",
        f"{they_noticed / noticed:.0f}",
        "0.5 s",
        noticed <= 0.5,
        {"seconds": noticed, "their_seconds": they_noticed},
    )


def _noticed(simulation: RunningSimulation, run: Used) -> float:
    (job,) = simulation.truth()
    return float(min(time for _, time in run.said["materialized"]) - job["ended"])


def twenty() -> Iterator[Line]:
    """Run 20 connections of 5 s at once, each side as its defaults have it."""
    connections, streams = 20, 5
    with workspace(connections, streams, job_seconds=5) as (simulation, variables):
        run_program(PYTHON, "load_defs", OURS, variables)
        simulation.forget_records()
        ours = run_program(PYTHON, "run_job", ["defs_ours", "program"], variables)
        calls = calls_of(simulation)
        _check_all(simulation, ours, connections * streams)
    yield _twenty_against("program", ours, calls)
    yield _twenty_against("server", ours, calls)


def _twenty_against(way: str, ours: Used, calls: int) -> Line:
    connections, streams = 20, 5
    with workspace(connections, streams, job_seconds=5) as (simulation, variables):
        theirs = run_program(neighbour_python(), "run_job", ["defs_neighbour", way], variables)
        their_calls = calls_of(simulation)
        _check_all(simulation, theirs, connections * streams)
    is_reached = ours.seconds <= 12 and ours.cpu <= 8 and calls <= 60
    how = "a run over 20 connections of 5 s" if way == "program" else "… the neighbour's launched by a code server"
    return Line(
        "twenty",
        how,
        f"{ours.seconds:.1f} s, {ours.cpu:.1f} s CPU, {calls} calls",
        f"{theirs.seconds:.0f} s, {theirs.cpu:.0f} s CPU, {their_calls} calls",
        f"{theirs.seconds / ours.seconds:.0f}, {theirs.cpu / ours.cpu:.0f}, {their_calls / calls:.0f}",
        "12 s, 8 s CPU, 60 calls",
        is_reached,
        {
            "seconds": ours.seconds,
            "cpu": ours.cpu,
            "calls": calls,
            "peak_mb": ours.peak_mb,
            "their_seconds": theirs.seconds,
            "their_cpu": theirs.cpu,
            "their_calls": their_calls,
            "their_peak_mb_per_process": theirs.peak_mb,
        },
    )


def thousand() -> Iterator[Line]:
    """Run 1,000 connections of 60 s: all at once, and a hundred at a time."""
    for most in (None, 100):
        yield _thousand(most)


def _thousand(most: int | None) -> Line:
    connections, streams = 1000, 5
    with workspace(connections, streams, job_seconds=60) as (simulation, variables):
        run_program(PYTHON, "load_defs", OURS, variables)
        simulation.forget_records()
        run = run_program(
            PYTHON, "run_job", ["defs_ours", "program"], {**variables, "MOST_AT_ONCE": str(most) if most else ""}
        )
        records = simulation.records()
        jobs = simulation.truth()
    keys = [key for key, _ in run.said["materialized"]]
    lost = connections * streams - len(set(keys))
    doubled = len(keys) - len(set(keys)) + len(jobs) - len({job["connection_id"] for job in jobs})
    minutes = (max(record.at for record in records) - min(record.at for record in records)) / 60
    beyond = (len(records) - 2 * connections) / minutes
    after = max(time for _, time in run.said["materialized"]) - max(job["ended"] for job in jobs)
    at_once = f"{most} at a time" if most else "all at once"
    return Line(
        "thousand",
        f"a run over {connections:,} connections of 60 s, {at_once}",
        f"{run.seconds / 60:.1f} min, {run.peak_mb:.0f} MB, {len(records):,} calls: {beyond:.0f} a minute + 2 a sync; "
        f"{lost} lost, {doubled} doubled",
        reach="400 MB, 60 calls a minute + 2 a sync, 0 lost, 0 doubled",
        reached=bool(run.said["success"]) and run.peak_mb < 400 and beyond <= 60 and lost == doubled == 0,
        figures={
            "at_once": most or connections,
            "seconds": run.seconds,
            "cpu": run.cpu,
            "peak_mb": run.peak_mb,
            "calls": len(records),
            "calls_a_minute_beyond_two_a_sync": beyond,
            "seconds_from_last_end_to_last_materialization": after,
            "lost": lost,
            "doubled": doubled,
        },
    )


def _check_all(simulation: RunningSimulation, run: Used, assets: int) -> None:
    """What was not all done, once each, is no figure."""
    keys = [key for key, _ in run.said["materialized"]]
    jobs = [job["connection_id"] for job in simulation.truth()]
    assert run.said["success"]
    assert len(keys) == len(set(keys)) == assets
    assert len(jobs) == len(set(jobs))
