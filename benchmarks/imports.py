"""How long imports take, each in a process of its own; the best of several, since the machine is shared."""

from __future__ import annotations

import subprocess
import sys

from rich.table import Table

_RUNS = 7


def seconds(before: str, statement: str) -> float:
    """Return the least time that a statement took, after others had run in the same process."""
    code = f"{before}\nimport time\nt = time.perf_counter()\n{statement}\nprint(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(_RUNS)
    ]
    return min(float(run.stdout) for run in runs)


def measure() -> Table:
    """Measure and tabulate."""
    table = Table("import", "seconds", title=f"Imports, best of {_RUNS}", title_justify="left")
    table.add_row("airbyte_dagster", f"{seconds('', 'import airbyte_dagster'):.3f}")
    table.add_row("dagster, for comparison", f"{seconds('', 'import dagster'):.3f}")
    table.add_row(
        "airbyte_dagster.definitions, after dagster",
        f"{seconds('import dagster', 'import airbyte_dagster.definitions'):.3f}",
    )
    return table


if __name__ == "__main__":
    from rich.console import Console

    Console().print(measure())
