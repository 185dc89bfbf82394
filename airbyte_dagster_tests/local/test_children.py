"""Processes that must not outlive the server, at the moment at which it could lose them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from airbyte_dagster.local.children import Children
from airbyte_dagster_tests.local.client import PATIENCE

_KILLED_WHILE_STARTING = """
import os, signal, sys
from airbyte_dagster.local.children import Children

class Killed(Children):
    def _tell_reaper(self, line):
        os.kill(os.getpid(), signal.SIGKILL)

command = ["/bin/sh", "-c", f"echo $$ > {sys.argv[1]}; sleep 600"]
with Killed().start(command, env={}, stdout=None, stderr=None):
    pass
"""


def test_process_does_nothing_before_the_reaper_knows_of_it(tmp_path: Path) -> None:
    """A server that is killed right after it started a process, before it told the reaper: the process ends unused."""
    mark = tmp_path / "worked"
    process = subprocess.Popen([sys.executable, "-c", _KILLED_WHILE_STARTING, str(mark)], stdout=subprocess.PIPE)

    # The end of the output is the end of all that inherited it, the started process included.
    output, _ = process.communicate(timeout=PATIENCE)

    assert output == b""
    assert process.returncode < 0
    assert not mark.exists()


def test_process_gets_its_arguments_as_they_are_and_nothing_to_read(tmp_path: Path) -> None:
    """No shell reads them; stdin is at its end."""
    hostile = "$(touch pwned); `touch pwned` 'a' \"b\" *"
    code = "import sys; print(sys.argv[1:], repr(sys.stdin.read()))"

    with Children().start(
        [sys.executable, "-c", code, hostile],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=str(tmp_path),
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read().decode()

    assert output == f"{[hostile]} ''\n"
    assert list(tmp_path.iterdir()) == []


def test_program_that_is_not_there_is_an_error() -> None:
    """As if it were started directly."""
    children = Children()

    with (
        pytest.raises(FileNotFoundError, match="nonesuch"),
        children.start(["/nonesuch/program"], env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
    ):
        pass
    children.close()


def test_group_is_gone_after_the_block(tmp_path: Path) -> None:
    """What the process started goes with it."""
    children = Children()
    with children.start(
        ["/bin/sh", "-c", "sleep 600 & echo started; wait"],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        family = psutil.Process(process.pid).children(recursive=True)
    children.close()

    assert family
    assert psutil.wait_procs(family, timeout=PATIENCE)[1] == []


_KILLED_AT_WORK = """
import os, signal, sys
from airbyte_dagster.local.children import Children

command = [sys.executable, "-u", "-c", sys.argv[1]]
with Children(grace=600, keep_open=[int(sys.argv[2])]).start(
    command, env={}, stdout=sys.stdout.fileno(), stderr=None
):
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""
_ENDS_IN_ITS_TIME = """
import signal, time

# Also where the tests run in the background of a script, whose processes ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print("works")
    time.sleep(600)
except KeyboardInterrupt:
    print("ends")
"""


def test_processes_of_a_killed_one_can_end_by_themselves() -> None:
    """They are interrupted, not killed, if they get a grace; what the reaper holds open is free when they are gone."""
    watched, held = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED_AT_WORK, _ENDS_IN_ITS_TIME, str(held)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[held],
        text=True,
    )
    os.close(held)
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"

    output, _ = process.communicate("die\n", timeout=PATIENCE)

    assert output == "ends\n"
    assert process.returncode < 0
    with open(watched, "rb") as reading:  # noqa: PTH123 - a descriptor
        assert reading.read() == b""  # its end: nobody holds the other side
