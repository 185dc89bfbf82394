"""``local delete``: deletes a connection, a source or a destination, whether the server runs or not."""

from __future__ import annotations

import contextlib

import click

from airbyte_dagster.local import overview, settings
from airbyte_dagster.local.options import home_option
from airbyte_dagster.local.settings import Home
from airbyte_dagster.output import Facts, FactsCommand

_PATIENCE = 120.0
_KINDS = ("connection", "source", "destination")


@click.command("delete", cls=FactsCommand)
@home_option
@click.option("--yes", is_flag=True, help="Don't wait for a confirmation.")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("which", metavar="ID-OR-NAME")
def delete(home: str | None, kind: str, which: str, *, yes: bool) -> Facts:
    """Delete a connection, source or destination, by its id or by its name if no other has it.

    With a source or destination its connections go, too. What they sync just now is cancelled; tables stay.
    """
    where = settings.resolve_home(home)
    found = _find(where, kind, which)
    click.echo(f"{kind} {found.name} ({found.id})")
    for connection in found.connections:
        click.echo(f"  with its connection {connection.name} ({connection.id})")
    if not yes:
        click.confirm("Delete it?", abort=True)
    _delete(where, kind, found.id)
    record = {
        "kind": kind,
        "id": found.id,
        "name": found.name,
        "connections": [{"id": connection.id, "name": connection.name} for connection in found.connections],
    }
    return Facts(record, lambda: click.echo(f"Deleted {kind} {found.name}. Its tables are still there."))


def _find(home: Home, kind: str, which: str) -> overview.Thing:
    things = overview.things(home, kind)
    found = [one for one in things if one.id == which.lower()] or [one for one in things if one.name == which]
    if len(found) == 1:
        return found[0]
    if found:
        raise click.ClickException(f"several {kind}s have the name {which!r}; name one by its id: {_listed(found)}")
    there = f"There are: {_listed(things)}" if things else "There is none."
    raise click.ClickException(f"there is no {kind} {which!r} in {home.root}. {there}")


def _listed(things: list[overview.Thing]) -> str:
    return ", ".join(f"{one.name} ({one.id})" for one in things)


def _delete(home: Home, kind: str, thing_id: str) -> None:
    from airbyte_dagster.local import server  # noqa: PLC0415 - heavy

    url = settings.running_server(home)
    if url is not None:
        _through_the_api(home, url, kind, thing_id)
        return
    try:
        with server.only_server(home):
            _in_the_database(home, kind, thing_id)
    except server.CannotServe as error:
        raise click.ClickException(f"{error}, and does not answer") from None


def _through_the_api(home: Home, url: str, kind: str, thing_id: str) -> None:
    import httpx  # noqa: PLC0415 - heavy

    credentials = settings.ensure_credentials(home)
    api = f"{url}{settings.PUBLIC_API}"
    signing_in = {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    try:
        # A cancelled sync may take its time to end. Proxies have nothing to do with this machine's own address.
        with httpx.Client(timeout=_PATIENCE, trust_env=False) as client:
            token = client.post(f"{api}/applications/token", json=signing_in).raise_for_status().json()["access_token"]
            signed_in = {"authorization": f"Bearer {token}"}
            client.delete(f"{api}/{kind}s/{thing_id}", headers=signed_in).raise_for_status()
    except httpx.HTTPError as error:
        raise click.ClickException(f"local Airbyte at {url} did not delete it: {error}") from None


def _in_the_database(home: Home, kind: str, thing_id: str) -> None:
    from airbyte_dagster.local.database import Database  # noqa: PLC0415 - heavy
    from airbyte_dagster.local.store import Store  # noqa: PLC0415

    with contextlib.closing(Database(home.database)) as database:
        store = Store(database, settings.ensure_credentials(home).workspace_id)
        if kind == "connection":
            store.delete_connection(thing_id)
        else:
            store.delete_actor(kind, thing_id)
