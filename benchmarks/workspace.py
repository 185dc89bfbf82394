"""A whole workspace: this package and ``dagster-airbyte``, against a simulated Airbyte with 50 ms a request.

    python -m benchmarks.workspace                               # all, half an hour or so
    python -m benchmarks.workspace --only load,one,twenty        # some of it
    python -m benchmarks.workspace --json figures.json --plot docs/images/scaling.svg

Each measured run is a process of its own; what it used is counted with all the processes that it made, and without the
simulated Airbyte, which is yet another process.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import scaling, workspace_runs
from benchmarks.workspace_runs import Line

PARTS = {
    "load": workspace_runs.load,
    "state": workspace_runs.load_from_state,
    "one": workspace_runs.one_sync,
    "twenty": workspace_runs.twenty,
    "thousand": workspace_runs.thousand,
    "growth": scaling.growth,
}


def measure(only: Sequence[str] = tuple(PARTS), *, json_path: Path | None = None, plot: Path | None = None) -> Table:
    """Measure and tabulate.

    Args:
        only: Which of `PARTS`.
        json_path: Where to write the figures, too; those of parts that are not measured now stay there.
        plot: Where to draw how things grow, if that is measured.
    """
    lines: list[Line] = []
    for part in only:
        measured = list(PARTS[part]())
        if json_path is not None:
            _keep(measured, json_path)
        lines += measured
    if plot is not None:
        scaling.draw([line.figures for line in lines if line.part == "growth"], plot)
    table = Table("work", "dagster-airbyte", "airbyte-dagster", "times", "reach", "reached", title="A whole workspace")
    table.title_justify = "left"
    for line in lines:
        reached = "" if line.reached is None else "yes" if line.reached else "NO"
        table.add_row(line.work, line.neighbour, line.ours, line.ratio, line.reach, reached)
    return table


def _keep(lines: Sequence[Line], path: Path) -> None:
    known = json.loads(path.read_text()) if path.exists() else []
    parts = {line.part for line in lines}
    kept = [item for item in known if item["part"] not in parts]
    path.write_text(json.dumps([*kept, *(asdict(line) for line in lines)], indent=1) + "\n")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"comma-separated: {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--plot", type=Path, help="SVG file for the plot of how things grow")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    Console(width=160).print(measure(parts, json_path=arguments.json, plot=arguments.plot))


if __name__ == "__main__":
    main()
