"""The rules of a table by itself: what each says, and what it can't know."""

from __future__ import annotations

import datetime as dt

import pytest

from airbyte_dagster.checks.findings import Verdict
from airbyte_dagster.checks.table_rules import (
    RecordedColumns,
    expected_range,
    fresh,
    not_null,
    schema,
    unique_key,
    values_kept,
)
from airbyte_dagster.warehouse import KeyCount, Table

P, F, W, U = Verdict.PASSED, Verdict.FAILED, Verdict.WARNED, Verdict.UNVERIFIED
NOON = dt.datetime(2026, 1, 3, 12, tzinfo=dt.timezone.utc)
DAY = dt.timedelta(days=1)
COLUMNS = (("id", "BIGINT"), ("old", "VARCHAR"), ("seen", "TIMESTAMP WITH TIME ZONE"))


def table(rows: int = 10, **measured: object) -> Table:
    return Table("lms", "main", "users", COLUMNS, rows, **measured)  # type: ignore[arg-type]


def test_keys_are_counted_in_words() -> None:
    """Rows with a null in the key are told apart from those that are unique."""
    assert unique_key(table(500, keys={("id",): KeyCount(500, 500)}), ("id",)).text == "All 500 keys (id) are unique."
    assert unique_key(table(1500, keys={("id",): KeyCount(1499, 1499)}), ("id",)).text == (
        "All 1,499 keys (id) are unique; 1 more rows have a null in it."
    )
    assert not_null(table(nulls={"id": 0}), ["id"]).verdict is P


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [
        (1000, None, "users has 10 rows; at least 1,000 expected."),
        (None, 5, "users has 10 rows; at most 5 expected."),
        (11, 20, "users has 10 rows; 11 to 20 expected."),
    ],
)
def test_bounds_are_said_in_words(least: int | None, most: int | None, text: str) -> None:
    """As one would say them."""
    assert expected_range(table(), least, most).text == text


@pytest.mark.parametrize(
    ("rows", "least", "most", "verdict"),
    [
        (10, 10, 10, P),
        (10, None, 10, P),
        (10, 10, None, P),
        (11, None, 10, F),
        (9, 10, None, F),
        (0, 0, 0, P),
        (1, 0, 0, F),
    ],
)
def test_bounds_are_included(rows: int, least: int | None, most: int | None, verdict: Verdict) -> None:
    """Both of them; 0 is a bound as any other."""
    assert expected_range(table(rows), least, most).verdict is verdict


@pytest.mark.parametrize(
    ("newest", "verdict", "text"),
    [
        ("2026-01-02T12:00:00+00:00", P, "is 1 day old (limit: 1 day)."),
        ("2026-01-02T11:59:59+00:00", F, "is 1 day 1 s old (limit: 1 day)."),
        ("2026-01-03T12:09:00+00:00", P, "is 0 s old (limit: 1 day)."),
        ("2099-01-01T00:00:00+00:00", U, "is 2099-01-01 00:00:00+00:00, in the future"),
        ("9999-12-31T23:59:59+00:00", U, "is 9999-12-31 23:59:59+00:00, in the future"),
    ],
)
def test_the_age_of_the_newest_row(newest: str, verdict: Verdict, text: str) -> None:
    """A time in the future hides which row is the newest: it does not pass, and is shown."""
    found = fresh(table(newest=dt.datetime.fromisoformat(newest)), "seen", DAY, NOON)

    assert found.verdict is verdict
    assert text in found.text


def test_a_local_time_without_a_zone_is_not_the_future() -> None:
    """It may be up to 14 hours ahead of UTC, for which it is taken."""
    naive = Table("lms", "main", "users", (("seen", "TIMESTAMP"),), 1, newest=NOON + dt.timedelta(hours=14))

    assert fresh(naive, "seen", DAY, NOON).verdict is P


def test_a_table_that_is_known_to_be_empty_has_no_age() -> None:
    """If Airbyte reports no rows, none are missing; else they are."""
    assert fresh(table(0), "seen", DAY, NOON, is_known_empty=True).verdict is U
    assert fresh(table(0), "seen", DAY, NOON).verdict is F
    deleted = (("seen", "TIMESTAMP"), ("_ab_cdc_deleted_at", "VARCHAR"))  # the source may have deleted all of them
    assert fresh(Table("lms", "main", "users", deleted, 0), "seen", DAY, NOON).verdict is U


def test_a_column_that_lost_all_its_values_warns() -> None:
    """As after a rename in the source; one that never had any, or of an empty table, does not."""
    full = RecordedColumns(dict(COLUMNS), frozenset())
    now = table(values={"id": 10, "old": 0, "seen": 10})

    found = schema(now, [full])
    assert (found.verdict, found.numbers["emptied"]) == (W, ["old"])
    assert schema(now, [RecordedColumns.of(now), full]).verdict is W  # recorded already
    assert schema(now, [RecordedColumns.of(now), RecordedColumns.of(now)]).verdict is P
    assert schema(now, [RecordedColumns(dict(COLUMNS))]).verdict is P  # it is not known whether it had any
    assert schema(table(0, values={"id": 0, "old": 0, "seen": 0}), [full]).verdict is P
    new = schema(now, [RecordedColumns({"id": "BIGINT", "seen": COLUMNS[2][1]}, frozenset())])
    assert (new.verdict, new.numbers["added"], new.numbers["emptied"]) == (W, ["old"], [])  # it had none to lose


def test_fields_of_the_source_that_are_not_there_warn() -> None:
    """By any name that a destination may have given them."""
    recorded = [RecordedColumns(dict(COLUMNS))]

    assert schema(table(), recorded, ["id", "OLD", "seen"]).verdict is P
    found = schema(table(), recorded, ["id", "new name"])
    assert (found.verdict, found.text) == (W, "users: the source's new name is not there.")


def test_changed_values_are_named_by_field_and_reason() -> None:
    """In how many rows; a list that can't be read is counted all the same. Without the column there is no finding."""
    changes = [
        ('{"changes": [{"field": "price", "change": "NULLED", "reason": "TOO_LARGE"}]}', 3),
        ('{"sync_id": 2, "changes": [{"field": "price", "change": "NULLED", "reason": "TOO_LARGE"}]}', 2),
        ("{'changes': [...]}", 1),
    ]

    found = values_kept(table(changed_rows=6), changes)

    assert found is not None
    assert found.verdict is F
    assert found.text == ("6 of 10 rows of users list values that were nulled or cut: price NULLED TOO_LARGE (5).")
    clean = values_kept(table(changed_rows=0), [])
    assert clean is not None
    assert clean.verdict is P
    assert values_kept(table(), []) is None
