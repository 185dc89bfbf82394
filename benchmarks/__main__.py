"""Run every measurement, one after another, and print them as one table each."""

from __future__ import annotations

from rich.console import Console

from benchmarks import checks, imports, loading, local_airbyte, main_job, one_sync, sync_sensor, webhook


def main() -> None:
    """Measure and print."""
    console = Console()
    for module in (imports, local_airbyte, one_sync, sync_sensor, webhook, checks, loading, main_job):
        console.print(module.measure())


if __name__ == "__main__":
    main()
