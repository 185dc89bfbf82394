"""The ``local connectors`` commands: what is in the cache of installed connectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from airbyte_dagster.local import settings
from airbyte_dagster.local.options import home_option
from airbyte_dagster.output import Facts, FactsCommand

if TYPE_CHECKING:
    from airbyte_dagster.local.cache import Cached


@click.group()
def connectors() -> None:
    """Connectors in the cache that all homes of this user share."""


@connectors.command(cls=FactsCommand)
@home_option
@click.argument("names", nargs=-1, required=True)
def install(home: str | None, names: tuple[str, ...]) -> Facts:
    """Install the connectors NAMES, such as faker, ahead of their first use."""
    from airbyte_dagster.local.cache import cached  # noqa: PLC0415 - heavy
    from airbyte_dagster.local.environments import NAME, EnvironmentFailed, prepare  # noqa: PLC0415 - heavy

    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        raise click.ClickException(f"{wrong[0]!r} is not a connector's name: lower-case letters, digits and dashes")
    root = settings.resolve_home(home).environments
    try:
        prepare(root, names, click.echo)
    except EnvironmentFailed as error:
        raise click.ClickException(str(error)) from None
    return Facts(_record(root, (entry for entry in cached(root) if entry.name in names and entry.current)))


@connectors.command("list", cls=FactsCommand)
@home_option
def list_connectors(home: str | None) -> Facts:
    """Show what is in the cache: version, size, last use. Any airbyte-source-NAME package can be installed."""
    from airbyte_dagster.local.cache import cached  # noqa: PLC0415 - heavy

    root = settings.resolve_home(home).environments
    found = cached(root)
    return Facts(_record(root, found), lambda: _show(root, found))


def _show(root: Path, found: Sequence[Cached]) -> None:
    for entry in found:
        note = "" if entry.current or entry.version is None else "  of another version of airbyte-dagster"
        name, version = entry.name.ljust(24), (entry.version or "unfinished").ljust(11)
        line = f"{name} {version} {entry.size / 1e6:>7,.0f} MB  {_last_used(entry)}"
        click.echo(f"{line}{note}")
    total = sum(entry.size for entry in found) / 1e6
    click.echo(f"{len(found)} in {root}, {total:,.0f} MB")


def _record(root: Path, entries: Iterable[Cached]) -> dict[str, object]:
    return {"directory": str(root), "connectors": [_row(entry) for entry in entries]}


def _row(entry: Cached) -> dict[str, object]:
    return {
        "name": entry.name,
        "version": entry.version,
        "bytes": entry.size,
        "lastUsed": _last_used(entry),
        "current": entry.current,
        "path": str(entry.path),
    }


def _last_used(entry: Cached) -> str:
    return datetime.fromtimestamp(entry.last_used, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@connectors.command(cls=FactsCommand)
@home_option
@click.argument("names", nargs=-1, required=True)
def remove(home: str | None, names: tuple[str, ...]) -> Facts:
    """Delete the environments of the connectors NAMES; the next use installs them again."""
    from airbyte_dagster.local import cache  # noqa: PLC0415 - heavy

    root = settings.resolve_home(home).environments
    found = cache.cached(root)
    removed = []
    for name in names:
        entries = [entry for entry in found if entry.name == name]
        if not entries:
            raise click.ClickException(f"{name} is not installed")
        for entry in entries:
            cache.remove(entry.path)
        removed += entries
        click.echo(f"Removed {name}.")
    return Facts(_record(root, removed))


@connectors.command(cls=FactsCommand)
@home_option
@click.option(
    "--unused-for",
    type=click.FloatRange(0),
    metavar="DAYS",
    help="Also those that no job, check or discovery has used for so many days; 0 for all.",
)
def clean(home: str | None, *, unused_for: float | None) -> Facts:
    """Delete what is left of interrupted installations and of other versions of airbyte-dagster."""
    from airbyte_dagster.local import cache  # noqa: PLC0415 - heavy

    root = settings.resolve_home(home).environments
    found = cache.superfluous(cache.cached(root), unused_days=unused_for)
    for entry in found:
        cache.remove(entry.path)
        click.echo(f"Removed {entry.name} {entry.version or '(unfinished)'}, {entry.size / 1e6:,.0f} MB.")
    if not found:
        click.echo("There is nothing to remove.")
    return Facts(_record(root, found))
