"""Reading the warehouse: real DuckDB files; MotherDuck up to the call that would leave this machine."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from airbyte_dagster.destinations.tables import Place, TableRef
from airbyte_dagster.errors import (
    ConfigurationError,
    MotherDuckUnavailable,
    WarehouseError,
    WarehouseLocked,
    WarehouseMissing,
    WarehouseTooNew,
)
from airbyte_dagster.warehouse import DuckDBWarehouse
from airbyte_dagster_tests.clock import FakeClock
from airbyte_dagster_tests.held_file import held_elsewhere
from airbyte_dagster_tests.warehouse.refs import table_ref


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "lms.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute('CREATE SCHEMA "Odd ""schema"""')
        connection.execute("CREATE TABLE users AS SELECT i AS id, i % 3 AS region FROM range(35) t(i)")
        connection.execute('CREATE TABLE "Odd ""schema"""."my ""table" AS SELECT 1 AS "a ""b"')
        connection.execute("CREATE TABLE empty (id INTEGER)")
    return path


@pytest.fixture
def release(database: Path) -> Iterator[Callable[[], None]]:
    """Another process holds the file; calling this lets go of it."""
    with held_elsewhere(database) as let_go:
        yield let_go


@pytest.mark.parametrize("is_writing", [False, True])
def test_a_file_that_this_process_has_open_for_writing_is_read(database: Path, *, is_writing: bool) -> None:
    """What is committed is seen, even while a transaction is open."""
    with duckdb.connect(str(database)) as connection:
        if is_writing:
            connection.execute("BEGIN; DELETE FROM users")
        found = DuckDBWarehouse(str(database), lock_timeout=0).inspect({"users": table_ref("main", ("users",))})

    table = found["users"]
    assert table is not None
    assert table.rows == 35


def test_a_file_that_this_process_has_open_with_other_settings(database: Path) -> None:
    """It is waited for; then the error says that it is this process, which nobody else can close."""
    clock = FakeClock()
    warehouse = DuckDBWarehouse(str(database), lock_timeout=9, clock=clock, sleep=clock.sleep)

    with duckdb.connect(str(database), config={"threads": 1}), pytest.raises(WarehouseLocked) as caught:
        warehouse.inspect({"users": table_ref("main", ("users",))})

    assert "open with other settings, for all of the 9 s" in caught.value.message


def test_values_of_each_column_changes_and_generations(tmp_path: Path) -> None:
    """Counted with the rows, where they are wanted and the columns are there."""
    path = tmp_path / "lms.duckdb"
    meta = """'{"sync_id": 7, "changes": [' ||
        CASE WHEN i < 2 THEN '{"field": "price", "change": "NULLED"}' ELSE '' END || ']}'"""
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"CREATE TABLE t AS SELECT i AS id, NULL AS old, ({meta})::JSON AS _airbyte_meta, "  # noqa: S608
            "i + 3 AS _airbyte_generation_id FROM range(5) t(i)"
        )
        connection.execute("CREATE TABLE plain AS SELECT 1 AS id")
    refs = {
        name: TableRef((Place("main", name),), values=True, changes=True, generations=True) for name in ("t", "plain")
    }
    with DuckDBWarehouse(str(path)).session() as session:
        found = session.inspect(refs)
        table, plain = found["t"], found["plain"]
        assert table is not None
        assert plain is not None
        changes = session.changes(table, 10)

    assert table.values == {"id": 5, "old": 0, "_airbyte_meta": 5, "_airbyte_generation_id": 5}
    assert (table.changed_rows, table.generations) == (2, (3, 7))
    assert [('"price"' in text, rows) for text, rows in changes] == [(True, 2)]
    assert (plain.values, plain.changed_rows, plain.generations) == ({"id": 1}, None, None)


def test_a_sample_is_the_first_rows_of_a_query(database: Path) -> None:
    """With the names of their columns."""
    with DuckDBWarehouse(str(database)).session() as session:
        sample = session.sample("SELECT id, region AS r FROM users ORDER BY id;", 2)

    assert sample == (("id", "r"), ((0, 0), (1, 1)))


def test_counts_columns_and_keys(database: Path) -> None:
    """Rows, columns with their types, and distinct keys; a table that is not there is None."""
    tables = DuckDBWarehouse(str(database)).inspect(
        {
            "users": table_ref("main", ("Users",), (("id",),)),
            "regions": table_ref("main", ("users",), (("region",),)),
            "odd": table_ref('odd "schema"', ('MY "TABLE',)),
            "empty": table_ref("main", ("empty",), (("id",),)),
            "none": table_ref("main", ("nope",)),
        }
    )

    users, regions, odd, empty = tables["users"], tables["regions"], tables["odd"], tables["empty"]
    assert users
    assert (users.rows, users.keys[("id",)].distinct, users.full_name) == (35, 35, "lms.main.users")
    assert users.columns == (("id", "BIGINT"), ("region", "BIGINT"))
    assert regions
    assert regions.keys == {("region",): (35, 3)}
    assert odd
    assert odd.rows == 1
    assert empty
    assert (empty.rows, empty.keys) == (0, {("id",): (0, 0)})
    assert tables["none"] is None


def test_names_are_tried_in_order(database: Path) -> None:
    """The plain name comes before the normalised one."""
    with duckdb.connect(str(database)) as connection:
        connection.execute('CREATE TABLE "my-stream" AS SELECT 1 AS id')
        connection.execute("CREATE TABLE my_stream AS SELECT 1 AS id FROM range(2)")

    tables = DuckDBWarehouse(str(database)).inspect(
        {"both": table_ref("main", ("my-stream", "my_stream")), "second": table_ref("main", ("my.stream", "my_stream"))}
    )

    assert [table.rows if table else None for table in tables.values()] == [1, 2]


def test_key_with_a_column_that_is_not_there_is_not_counted(database: Path) -> None:
    """Half a key would count wrongly."""
    tables = DuckDBWarehouse(str(database)).inspect({"users": table_ref("main", ("users",), (("id", "nope"),))})

    assert tables["users"]
    assert tables["users"].keys == {}


def test_a_query_measures_a_hundred_tables(database: Path, queries: list[str]) -> None:
    """However many streams there are, each costs a part of one query; every count is its own table's."""
    with duckdb.connect(str(database)) as connection:
        for index in range(201):
            connection.execute(f"CREATE TABLE t{index} AS SELECT * FROM range({index})")  # noqa: S608
    queries.clear()
    tables = DuckDBWarehouse(str(database)).inspect({f"t{i}": table_ref("main", (f"t{i}",)) for i in range(201)})

    assert [table.rows if table else None for table in tables.values()] == list(range(201))
    assert len(queries) == 1 + 3


def test_a_table_that_can_not_be_measured_stops_no_other(database: Path) -> None:
    """It is unknown, with DuckDB's reason; a view over what is gone is such a one."""
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE gone AS SELECT 1 AS id")
        connection.execute("CREATE VIEW broken AS SELECT id FROM gone")
        connection.execute("DROP TABLE gone")
    tables = DuckDBWarehouse(str(database)).inspect(
        {name: table_ref("main", (name,)) for name in ("users", "broken", "empty")}
    )

    assert [table.rows if table else None for table in tables.values()] == [35, None, 0]
    assert list(tables.unknown) == ["broken"]
    assert "gone" in tables.unknown["broken"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("TIMESTAMP '12000-01-01'", "12000-01-01 00:00:00"),
        ("TIMESTAMPTZ 'infinity'", "infinity"),
        ("DATE 'infinity'", "infinity"),
        ("DATE '0044-03-15 (BC)'", "0044-03-15 (BC)"),
    ],
)
def test_a_time_that_no_datetime_can_hold_is_a_text(database: Path, value: str, text: str) -> None:
    """Of that table alone; those that can be held are exact to the microsecond."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE TABLE odd AS SELECT {value} AS at")
        connection.execute("CREATE TABLE even AS SELECT TIMESTAMP '2026-01-02 03:04:05.678901' AS at")
    tables = DuckDBWarehouse(str(database)).inspect(
        {name: table_ref("main", (name,), newest="at") for name in ("odd", "even", "empty")}
    )

    odd, even, empty = tables["odd"], tables["even"], tables["empty"]
    assert odd
    assert even
    assert empty
    assert (odd.newest, odd.newest_text) == (None, text)
    assert (str(even.newest), even.newest_text) == ("2026-01-02 03:04:05.678901+00:00", None)
    assert (empty.newest, empty.newest_text) == (None, None)


def test_a_table_that_may_be_anothers_is_unknown(database: Path) -> None:
    """Only if it is there; without it there is no table."""
    both, none = Place("main", "Users"), Place("main", "nope")
    tables = DuckDBWarehouse(str(database)).inspect(
        {
            "shared": TableRef((none,), shared=(both,)),
            "missing": TableRef((none,), shared=(none,)),
            "kind": TableRef((), unknown="nobody knows"),
        }
    )

    assert set(tables.values()) == {None}
    assert tables.unknown == {
        "shared": "main.Users may be the table of another stream of the connection",
        "kind": "nobody knows",
    }


def test_opens_read_only(database: Path) -> None:
    """A check can't change what it checks."""
    with DuckDBWarehouse(str(database)).connect() as connection, pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DROP TABLE users")


def test_missing_file_is_named_and_not_made(tmp_path: Path) -> None:
    """DuckDB would make a file that is not there."""
    path = tmp_path / "nope.duckdb"

    with pytest.raises(WarehouseMissing, match=r"nope\.duckdb"):
        DuckDBWarehouse(str(path)).inspect({"users": table_ref("main", ("users",))})

    assert not path.exists()


@pytest.mark.usefixtures("release")
def test_lock_is_waited_for_then_reported(database: Path) -> None:
    """Who holds it is in the message; the wait is bounded."""
    clock = FakeClock()

    with pytest.raises(WarehouseLocked, match=r"PID \d+.*60 s"):
        DuckDBWarehouse(str(database), clock=clock, sleep=clock.sleep).inspect({"users": table_ref("main", ("users",))})

    assert 60 <= sum(clock.waits) <= 62


def test_lock_that_is_released_is_no_error(database: Path, release: Callable[[], None]) -> None:
    """The count goes through as soon as the other process is done."""
    clock = FakeClock()

    clock.on_sleep = lambda _now: release()
    tables = DuckDBWarehouse(str(database), clock=clock, sleep=clock.sleep).inspect(
        {"users": table_ref("main", ("users",))}
    )

    assert tables["users"]
    assert len(clock.waits) == 1


def test_only_locks_are_waited_for(tmp_path: Path) -> None:
    """A file that is no database fails at once."""
    path = tmp_path / "text.duckdb"
    path.write_text("hello" * 2000)
    clock = FakeClock()

    with pytest.raises(WarehouseError, match="not a valid DuckDB database"):
        DuckDBWarehouse(str(path), clock=clock, sleep=clock.sleep).inspect({"users": table_ref("main", ("users",))})

    assert clock.waits == []


def test_file_of_a_newer_duckdb_says_to_upgrade(database: Path) -> None:
    """The version is what the file's header says; its checksum is made to fit."""
    content = bytearray(database.read_bytes())
    content[12:20] = struct.pack("<Q", 9999)
    content[0:8] = struct.pack("<Q", duckdb_checksum(bytes(content[8:4096])))
    database.write_bytes(content)

    with pytest.raises(WarehouseTooNew, match="Upgrade the duckdb package"):
        DuckDBWarehouse(str(database)).inspect({"users": table_ref("main", ("users",))})


def duckdb_checksum(data: bytes) -> int:
    """The checksum that DuckDB keeps of the first block of a file."""
    result = 5381
    for (word,) in struct.iter_unpack("<Q", data):
        result ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return result


def test_motherduck_without_a_token_is_refused() -> None:
    """DuckDB would open a browser and wait."""
    with pytest.raises(ConfigurationError, match="there is no token"):
        DuckDBWarehouse("md:lms").inspect({"users": table_ref("main", ("users",))})


def test_motherduck_token_goes_into_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reaches DuckDB: the database's name alone as the address, the token beside it."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def connect(*arguments: Any, **options: Any) -> Any:
        calls.append((arguments, options))
        return duckdb_in_memory()

    duckdb_in_memory = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", connect)
    with DuckDBWarehouse("md:lms", "PLANTED").connect():
        pass

    assert calls == [(("md:lms",), {"config": {"motherduck_token": "PLANTED"}})]
    assert "PLANTED" not in repr(DuckDBWarehouse("md:lms", "PLANTED"))


def from_extension(words: str) -> str:
    """What DuckDB makes of an error that the extension raises when it is loaded."""
    return (
        'Invalid Input Error: Initialization function "motherduck_duckdb_cpp_init" from file '
        f'"/home/token/.duckdb/extensions/v1.5.5/linux_amd64/motherduck.duckdb_extension" threw an exception: "{words}"'
    )


NO_ROUTE = (
    'Failed to download "http://api.motherduck.com/extension_version" (attempt 5): Could not establish connection'
)
NO_IMPLEMENTATION = (
    "Failed to install extension from 'http://ext.motherduck.com/v1.5.5/linux_amd64/motherduck_impl.v1.gz': "
    '\'{"exception_type":"IO","exception_message":"Failed to download \\"http://ext.motherduck.com/…\\" (attempt 5): '
    "Could not establish connection\"}'"
)
NOT_AUTHENTICATED = "Request failed: Your request is not authenticated. Please check your MotherDuck token."
NO_EXTENSION = 'Failed to download extension "motherduck" at URL "http://extensions.duckdb.org/v9.9.9/…"'
ADVICE = '\nExtension "motherduck" is an existing extension.\n\nFor more info, visit https://duckdb.org/docs'


@pytest.mark.parametrize(
    ("said", "kind", "plain", "advice"),
    [
        (
            from_extension(f"{NOT_AUTHENTICATED} (Jwt is not in the form of Header.Payload.Signature PLANTED)"),
            MotherDuckUnavailable,
            "MotherDuck refused the token for md:lms: Request failed: Your request is not authenticated",
            "Make a new access token",
        ),
        (
            "Invalid Input Error: Initialization function failed: Jwt header is an invalid JSON PLANTED",
            MotherDuckUnavailable,
            "refused the token",
            "Make a new access token",
        ),
        (
            "Invalid Error: RPC 'SETUP_PLAN_FRAGMENTS' failed: Your request is not authenticated. PLANTED",
            MotherDuckUnavailable,
            "refused the token",
            "Make a new access token",
        ),
        (
            "Could not connect to MotherDuck (PERMISSION_DENIED, RPC 'CREATE_SLT')",
            MotherDuckUnavailable,
            "refused the token",
            "Make a new access token",
        ),
        (
            from_extension("Failed to attach 'lms': no database/share named 'lms' found"),
            WarehouseMissing,
            "There is no database lms at MotherDuck",
            "CREATE DATABASE lms",
        ),
        (
            'Catalog Error: database "lms" does not exist',
            WarehouseMissing,
            "There is no database lms at MotherDuck",
            "CREATE DATABASE lms",
        ),
        (
            from_extension(
                "\nYour DuckDB version (v1.5.3) is not yet supported by MotherDuck. "
                "The latest supported version is v1.5.2. Please downgrade to use MotherDuck."
            ),
            MotherDuckUnavailable,
            f"MotherDuck does not take the installed DuckDB {duckdb.__version__}: Your DuckDB version (v1.5.3) is not",
            "Install a version",
        ),
        (
            from_extension(
                "MotherDuck extension is not available for this DuckDB version (v2.0.0) and platform (linux_amd64)"
            ),
            MotherDuckUnavailable,
            "MotherDuck offers nothing for the installed DuckDB",
            "A proxy that refuses",
        ),
        (
            from_extension(NO_ROUTE),
            MotherDuckUnavailable,
            "MotherDuck's service can't be reached: Failed to download",
            "api.motherduck.com",
        ),
        (
            from_extension(NO_IMPLEMENTATION),
            MotherDuckUnavailable,
            "MotherDuck's service can't be reached: Failed to install",
            "ext.motherduck.com",
        ),
        (
            from_extension(
                'Failed to download "http://api.motherduck.com/extension_version". Status code "403": Forbidden'
            ),
            MotherDuckUnavailable,
            "MotherDuck's service can't be reached",
            "api.motherduck.com",
        ),
        (
            from_extension("failed to resolve extension version from server response (got '<html>')"),
            MotherDuckUnavailable,
            "MotherDuck's service can't be reached",
            "api.motherduck.com",
        ),
        (
            from_extension("Request failed:  (UNAVAILABLE, RPC 'GET_WELCOME_PACK')"),
            MotherDuckUnavailable,
            "MotherDuck does not serve md:lms: Request failed: (UNAVAILABLE, RPC",
            "may not fit the database's version",
        ),
        (
            from_extension("Request failed: Could not connect to MotherDuck. Please try again later"),
            MotherDuckUnavailable,
            "MotherDuck's service can't be reached",
            "api.motherduck.com",
        ),
        (
            f"IO Error: {NO_EXTENSION}{ADVICE} (ERROR Could not establish connection)",
            MotherDuckUnavailable,
            "DuckDB can't download its extension for MotherDuck",
            "extensions.duckdb.org",
        ),
        (
            "IO Error: Input is not a GZIP stream",
            MotherDuckUnavailable,
            "DuckDB can't download its extension for MotherDuck",
            "HTTP_PROXY",
        ),
        (
            f"HTTP Error: {NO_EXTENSION} (HTTP 404){ADVICE}",
            MotherDuckUnavailable,
            "has no extension for MotherDuck on this platform",
            "Install a version",
        ),
        (
            'IO Error: Extension "/home/x/motherduck.duckdb_extension" could not be loaded: undefined symbol',
            MotherDuckUnavailable,
            "DuckDB could not load its extension for MotherDuck",
            "Delete its files",
        ),
        (
            "Can't open a connection to same database file with a different configuration than existing connections",
            MotherDuckUnavailable,
            "This process has md:lms open with other settings",
            "Start the process again",
        ),
        ("Out of Memory Error: failed to allocate", WarehouseError, "DuckDB could not read md:lms: Out of Memory", ""),
    ],
)
def test_motherducks_errors_are_plain_and_hold_no_token(
    monkeypatch: pytest.MonkeyPatch, said: str, kind: type[WarehouseError], plain: str, advice: str
) -> None:
    """One sentence each in words that real errors have, and what to do about it; the frame around them is left out."""

    def connect(*_: Any, **__: Any) -> Any:
        raise duckdb.Error(said)

    monkeypatch.setattr(duckdb, "connect", connect)

    with pytest.raises(WarehouseError) as caught:
        DuckDBWarehouse("md:lms", "PLANTED").inspect({"users": table_ref("main", ("users",))})

    assert type(caught.value) is kind
    assert plain in caught.value.message
    assert advice in caught.value.guidance
    assert "PLANTED" not in str(caught.value)
    assert "/home/token" not in str(caught.value)


def test_real_duckdb_says_plainly_that_it_can_not_load_the_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no way to MotherDuck, the error is of this package; with one, the planted token is refused."""
    monkeypatch.setenv("HOME", str(tmp_path))

    with pytest.raises(MotherDuckUnavailable):
        DuckDBWarehouse("md:lms", "PLANTED").inspect({"users": table_ref("main", ("users",))})
