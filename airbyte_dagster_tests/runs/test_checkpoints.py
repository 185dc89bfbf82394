"""What a run remembers of its jobs, in the instance's key-value storage."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster.airbyte.records import StreamKey
from airbyte_dagster.runs.checkpoints import RunCheckpoints, RunsAtWork, has_job, recorded
from airbyte_dagster.sync.checkpoints import Checkpoint

FULL = Checkpoint(
    3,
    requested_at=1.5,
    job_id=4,
    is_ours=False,
    rows_before={StreamKey("sales", "orders"): 2, StreamKey(None, "税率"): 0},
)


@dg.job
def nothing() -> None:
    pass


def run_of(instance: dg.DagsterInstance, parent: dg.DagsterRun | None = None, **tags: str) -> dg.DagsterRun:
    more: Any = {"parent_run_id": parent.run_id, "root_run_id": parent.run_id} if parent else {}
    named = {f"dagster/{name}": value for name, value in tags.items()}
    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=named, **more)


def test_all_of_a_checkpoint_is_kept(instance: dg.DagsterInstance) -> None:
    """Whoever comes after, in whatever process, reads what was written last."""
    run = run_of(instance)
    RunCheckpoints(instance, run).save({"c": Checkpoint(3), "d": Checkpoint(1)})
    RunCheckpoints(instance, run).load(["c"])
    again = RunCheckpoints(instance, run)
    again.load(["c"])
    again.save({"c": FULL, "e": Checkpoint(7)})

    found = RunCheckpoints(instance, run).load(["c", "d", "e", "f"])

    assert found.keys() == {"c", "d", "e"}
    kept = found["c"]
    assert (kept, kept.requested_at, kept.rows_before) == (FULL, 1.5, FULL.rows_before)


@pytest.mark.parametrize(
    ("tags", "resumes"),
    [
        ({"is_resume_retry": "true"}, True),
        ({"is_asset_resume_retry": "true"}, True),
        ({"retry_number": "1"}, True),
        ({"retry_number": "1", "retry_strategy": "ALL_STEPS"}, False),
        ({}, False),
    ],
    ids=["from failure", "from asset failure", "run retry", "run retry of all steps", "all steps"],
)
def test_a_run_that_resumes_another_takes_its_jobs_over(
    instance: dg.DagsterInstance, tags: dict[str, str], *, resumes: bool
) -> None:
    """All steps, executed again, ask for new syncs, though Dagster copies the parent's tags."""
    parent = run_of(instance)
    done = recorded(Checkpoint(0, job_id=2))
    RunCheckpoints(instance, parent).save({"open": Checkpoint(0, job_id=1), "done": done})

    found = RunCheckpoints(instance, run_of(instance, parent, **tags)).load(["open", "done"])

    assert found == ({"open": Checkpoint(0, job_id=1), "done": done} if resumes else {})


def test_a_run_that_died_before_it_took_over_anything_loses_nothing(instance: dg.DagsterInstance) -> None:
    """The next one goes on with the run before it; what a nearer run knows is newer."""
    first = run_of(instance)
    RunCheckpoints(instance, first).save({"c": Checkpoint(0, job_id=1), "d": Checkpoint(0, job_id=2)})
    second = run_of(instance, first, retry_number="1")
    third = run_of(instance, second, is_resume_retry="true")
    RunCheckpoints(instance, third).save({"d": Checkpoint(2, job_id=3)})
    fourth = run_of(instance, third, retry_number="2")

    assert RunCheckpoints(instance, fourth).load(["c", "d"]) == {
        "c": Checkpoint(0, job_id=1),
        "d": Checkpoint(2, job_id=3),
    }
    assert RunsAtWork.of(instance).claimed({1: "c"}) == {1}


def test_a_run_of_all_steps_ends_what_is_taken_over(instance: dg.DagsterInstance) -> None:
    """Who resumes it goes on with it alone, not with what was before."""
    first = run_of(instance)
    RunCheckpoints(instance, first).save({"c": Checkpoint(0, job_id=1)})
    second = run_of(instance, first)

    assert RunCheckpoints(instance, run_of(instance, second, is_resume_retry="true")).load(["c"]) == {}


def test_all_steps_of_a_run_from_asset_failure_are_new(instance: dg.DagsterInstance) -> None:
    """Dagster copies the tag of the strategy to a run that executes all of its steps again."""
    first = run_of(instance)
    second = run_of(instance, first, is_asset_resume_retry="true")
    RunCheckpoints(instance, second).save({"c": Checkpoint(0, job_id=1)})

    assert RunCheckpoints(instance, run_of(instance, second, is_asset_resume_retry="true")).load(["c"]) == {}


def test_a_second_run_from_asset_failure_goes_on_with_the_first(instance: dg.DagsterInstance) -> None:
    """Both have the tag; what is left to do, and so the selection, is another: it was re-executed from the failure."""
    second = run_of(instance, run_of(instance), is_asset_resume_retry="true")
    third = run_of(instance, second, is_asset_resume_retry="true")._replace(
        asset_selection=frozenset({dg.AssetKey("left")})
    )
    RunCheckpoints(instance, second).save({"c": Checkpoint(0, job_id=1)})

    assert RunCheckpoints(instance, third).load(["c"]) == {"c": Checkpoint(0, job_id=1)}


def test_the_first_job_is_a_tag_of_the_run(instance: dg.DagsterInstance) -> None:
    """People find the run of a job by it. A re-execution has its parent's tag, and no job yet."""
    run = run_of(instance)
    assert not has_job(instance, run)
    RunCheckpoints(instance, run).save({"c": Checkpoint(0)})
    RunCheckpoints(instance, run).save({"c": Checkpoint(0, job_id=5)})
    tagged = instance.get_run_by_id(run.run_id)
    assert tagged is not None
    assert tagged.tags["airbyte/job_id"] == "5"
    assert has_job(instance, tagged)

    again = instance.create_run_for_job(
        nothing, tags=dict(tagged.tags), parent_run_id=run.run_id, root_run_id=run.run_id
    )

    assert not has_job(instance, again)


def test_jobs_that_runs_at_work_will_record(instance: dg.DagsterInstance) -> None:
    """Those that a run in progress knows, or has just requested; none of a connection that it has recorded."""
    run = run_of(instance)
    RunCheckpoints(instance, run).save(
        {
            "known": Checkpoint(0, job_id=3),
            "new": Checkpoint(4, requested_at=1.0),
            "done": recorded(Checkpoint(0, job_id=6)),
        }
    )
    jobs = {2: "known", 3: "known", 4: "new", 5: "new", 6: "done", 7: "other"}

    assert RunsAtWork.of(instance).claimed(jobs) == {3, 5}
    instance.report_run_canceled(run)
    assert RunsAtWork.of(instance).claimed(jobs) == set()


def _write(home: str, run_id: str, names: list[str]) -> None:
    with dg.DagsterInstance.local_temp(home) as instance:
        run = instance.get_run_by_id(run_id)
        assert run
        checkpoints = RunCheckpoints(instance, run)
        for name in names:
            checkpoints.save({name: Checkpoint(0, job_id=1)})


def test_processes_of_one_run_keep_each_others_checkpoints(tmp_path: Path) -> None:
    """Steps of the multiprocess executor write at once: 75 written are 75 kept."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        run = run_of(instance)
    names = [f"c-{number}" for number in range(75)]
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_write, args=(str(home), run.run_id, names[start::3])) for start in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        assert RunCheckpoints(instance, run).load(names).keys() == set(names)
