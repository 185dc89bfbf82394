"""What a job has moved of each stream, and what Dagster is told of it."""

from __future__ import annotations

import pytest

from airbyte_dagster_tests.acceptance.airbyte import TWINS, Airbyte
from airbyte_dagster_tests.acceptance.definitions import connections_of
from airbyte_dagster_tests.acceptance.stack import DagsterStack

pytestmark = pytest.mark.xdist_group("acceptance")


@pytest.mark.parametrize("name", ["partial", "p_partial"])
def test_streams_that_moved_along_have_right_checks(name: str, stack: DagsterStack, airbyte: Airbyte) -> None:
    """Materializing one stream moves and records all: the check of another, run later, is about the same job."""
    (connection,) = connections_of(name)
    users, products = f"{connection}/users", f"{connection}/products"

    synced = stack.succeed(stack.launch(f"sync_{name}", assets=[users], checks=[(users, "row_count")]))
    assert stack.materialized(synced).keys() == {users, products}
    checked = stack.succeed(stack.launch("__ASSET_JOB", assets=[], checks=[(products, "row_count")]))

    (job,) = airbyte.jobs(connection)
    assert stack.passed(checked) == {products: True}
    assert stack.job_of_check(checked, products) == int(job["jobId"])


@pytest.mark.parametrize("name", ["twins", "p_twins"])
def test_streams_of_one_name_have_their_own_rows_and_keys(name: str, stack: DagsterStack) -> None:
    """In two namespaces: each asset has the rows of its own, and its key is unique, whatever its namesake's is."""
    run = stack.succeed(stack.launch(f"sync_{name}"))

    rows = {tuple(key.split("/")[-2:]): found["dagster/row_count"] for key, found in stack.materialized(run).items()}
    assert rows == {(namespace, "account"): len(account) for namespace, account in TWINS.items()}
    for check in ("row_count", "unique_key"):
        assert set(stack.passed(run, check).values()) == {True}
        assert len(stack.passed(run, check)) == len(TWINS)


def test_a_stream_that_has_vanished_is_not_green(stack: DagsterStack, airbyte: Airbyte) -> None:
    """A stream that the connection has lost since it became an asset is not materialized, and the run fails for it."""
    (connection,) = connections_of("vanished")
    streams = {"configurations": {"streams": [{"name": "users"}]}}
    airbyte.api.ok("PATCH", f"/connections/{airbyte.id_of(connection)}", json=streams)

    run = stack.fail(stack.launch("sync_vanished"))

    assert stack.materialized(run).keys() == {f"{connection}/users"}
    assert stack.passed(run)[f"{connection}/users"]
    assert "products" in stack.errors_of(run)
