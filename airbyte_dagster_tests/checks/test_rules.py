"""The row-count rule of each sync mode."""

from __future__ import annotations

import pytest

from airbyte_dagster.checks.findings import Verdict
from airbyte_dagster.checks.rules import ReportedStats, moved_something, row_count, row_count_by_total
from airbyte_dagster.warehouse import KeyCount, Table


def table(rows: int, keys: int | None = None) -> Table:
    counted: dict[tuple[str, ...], KeyCount] = {("id",): KeyCount(rows, keys)} if keys is not None else {}
    return Table("lms", "main", "users", (("id", "BIGINT"),), rows, counted)


P, F, W, U = Verdict.PASSED, Verdict.FAILED, Verdict.WARNED, Verdict.UNVERIFIED


@pytest.mark.parametrize(
    ("mode", "reported", "before", "rows", "keys", "verdict"),
    [
        # overwrite: equal, whatever was there before
        ("full_refresh_overwrite", 35, None, 35, None, P),
        ("full_refresh_overwrite", 35, None, 34, None, F),
        ("full_refresh_overwrite", 35, None, 70, None, F),
        ("full_refresh_overwrite", 87_000, None, 50_000, None, F),  # only the last batch was kept
        ("full_refresh_overwrite", None, None, 35, None, U),
        ("full_refresh_overwrite", 0, None, 0, None, P),
        # append: before plus records
        ("full_refresh_append", 35, 35, 70, None, P),
        ("full_refresh_append", 35, 35, 105, None, F),  # a retry appended twice
        ("full_refresh_append", 35, 0, 35, None, P),
        ("incremental_append", 0, 70, 70, None, P),
        ("incremental_append", 5, 70, 74, None, F),
        ("incremental_append", 5, None, 75, None, U),
        # deduped: each key once, not fewer than before, not more than before plus records
        ("incremental_deduped_history", 5, 70, 72, 72, P),
        ("incremental_deduped_history", 5, 70, 70, 70, P),
        ("incremental_deduped_history", 5, 70, 69, 69, F),
        ("incremental_deduped_history", 5, 70, 76, 76, F),
        ("incremental_deduped_history", 5, 70, 72, 71, F),  # a key twice
        ("incremental_deduped_history", 5, None, 72, 72, U),
        ("incremental_deduped_history", 5, 0, 0, None, F),  # nothing arrived
        ("full_refresh_overwrite_deduped", 40, None, 35, 35, P),
        ("full_refresh_overwrite_deduped", 40, None, 41, 41, F),
        ("full_refresh_overwrite_deduped", 40, 90, 35, 35, P),  # what was there before does not count
        ("full_refresh_overwrite_deduped", 40, None, 35, 34, F),
    ],
)
def test_rule(
    mode: str, reported: int | None, before: int | None, rows: int, keys: int | None, verdict: Verdict
) -> None:
    """What passes, what fails, and what can't be known."""
    report = ReportedStats("users", mode, reported, before, primary_key=("id",), attempts=1)
    finding = row_count(report, table(rows, keys))

    assert finding.verdict is verdict
    assert f"{rows:,}" in finding.text


@pytest.mark.parametrize(("rows", "verdict"), [(50, P), (51, P), (11, F), (0, F)])
def test_rows_that_went_missing_since_the_sync(rows: int, verdict: Verdict) -> None:
    """A deduped stream may have any number of rows after a sync; once counted, they have to stay."""
    report = ReportedStats("users", "incremental_deduped_history", 60, 0, primary_key=("id",))

    finding = row_count(report, table(rows, rows), counted=50)

    assert finding.verdict is verdict
    assert ("had 50 right after the sync" in finding.text) is (rows < 50)


def test_rows_with_a_null_in_the_key_are_rows_of_their_own() -> None:
    """No destination merges them; the check for nulls reports them."""
    key = ("account", "ad_id", "day")
    report = ReportedStats("ads", "incremental_deduped_history", 2, 0, primary_key=key)

    finding = row_count(report, Table("lms", "main", "ads", (), 2, {key: KeyCount(0, 0)}))

    assert finding.verdict is P


def test_a_source_that_deletes_rows_may_leave_fewer() -> None:
    """One for each record of a deduped stream with Airbyte's column of deletions; beyond that it fails as ever."""
    report = ReportedStats("users", "incremental_deduped_history", 3, 10, primary_key=("id",))
    columns = (("id", "BIGINT"), ("_ab_cdc_deleted_at", "VARCHAR"))

    def verdict(rows: int) -> Verdict:
        return row_count(report, Table("lms", "main", "users", columns, rows, {("id",): KeyCount(rows, rows)})).verdict

    assert [verdict(rows) for rows in (0, 6, 7, 10, 13, 14)] == [F, F, P, P, P, F]


def test_a_source_that_deletes_rows_may_leave_none() -> None:
    """As many records as there were rows; otherwise an empty table has lost what was reported."""
    report = ReportedStats("users", "incremental_deduped_history", 3, 3, primary_key=("id",))

    assert row_count(report, table(0, 0), deletes=True).verdict is P
    assert row_count(report, table(0, 0)).verdict is F


def test_a_sync_mode_that_is_not_known_is_not_verified() -> None:
    """A newer server may have further ones."""
    assert row_count(ReportedStats("users", "teleport", 3, 0), table(3)).verdict is U
    assert row_count(ReportedStats("users", "teleport", 3, 0, rejected=2), table(3)).verdict is U


def test_difference_is_said_in_numbers() -> None:
    """How many rows are missing, or too many."""
    report = ReportedStats("users", "full_refresh_overwrite", 35)

    assert row_count(report, table(30)).text == "users has 30 rows, Airbyte reports 35: 5 missing."
    assert row_count(report, table(40)).text == "users has 40 rows, Airbyte reports 35: 5 too many."


@pytest.mark.parametrize(
    ("modes", "rows", "total", "verdict"),
    [
        (("full_refresh_overwrite", "full_refresh_overwrite"), (30, 5), 35, P),
        (("full_refresh_overwrite", "full_refresh_overwrite"), (30, 4), 35, F),
        (("full_refresh_overwrite", "full_refresh_append"), (30, 5), 35, None),  # can't tell them apart
        (("full_refresh_overwrite",), (35,), None, None),
    ],
)
def test_total_of_the_job_decides_where_it_can(
    modes: tuple[str, ...], rows: tuple[int, ...], total: int | None, verdict: Verdict | None
) -> None:
    """Servers without numbers of single streams still give a total, which overwritten tables must add up to."""
    reports = [ReportedStats(f"s{index}", mode, None) for index, mode in enumerate(modes)]

    finding = row_count_by_total(reports, [table(count) for count in rows], total)

    assert (finding.verdict if finding else None) is verdict


def test_total_can_not_vouch_for_a_missing_table() -> None:
    """With a table missing, each stream is judged by itself."""
    reports = [ReportedStats("a", "full_refresh_overwrite", None), ReportedStats("b", "full_refresh_overwrite", None)]

    assert row_count_by_total(reports, [table(35), None], 35) is None


@pytest.mark.parametrize(
    ("attempts", "rows", "verdict"), [(1, 41, F), (2, 41, W), (None, 41, U), (2, 40, P), (2, 39, F)]
)
def test_several_attempts_may_append_rows_twice(attempts: int | None, rows: int, verdict: Verdict) -> None:
    """More rows than reported are a warning then; fewer fail, however many there were."""
    report = ReportedStats("users", "incremental_append", 5, 35, attempts=attempts)

    assert row_count(report, table(rows)).verdict is verdict


@pytest.mark.parametrize(
    ("mode", "rows", "verdict"),
    [
        ("full_refresh_overwrite", 98, W),
        ("full_refresh_overwrite", 96, W),  # the rejected ones are among the committed
        ("full_refresh_overwrite", 90, F),
        ("incremental_append", 108, W),
        ("incremental_deduped_history", 50, W),
    ],
)
def test_records_that_the_destination_rejected_are_counted(mode: str, rows: int, verdict: Verdict) -> None:
    """A table that has all but those is no pass; one that has fewer fails."""
    report = ReportedStats("users", mode, 98, 10, primary_key=("id",), rejected=2, attempts=1)

    finding = row_count(report, table(rows, rows))

    assert finding.verdict is verdict
    assert "rejected 2 more records" in finding.text
    assert finding.numbers["rows_rejected"] == 2


def test_a_refresh_that_removed_the_rows_before_is_no_loss() -> None:
    """Its generation is in the table; the same rows of the generation that was there are missing."""
    report = ReportedStats("users", "incremental_append", 5, 35, attempts=1, generation=3)

    def verdict(*generations: int) -> Verdict:
        found = Table("lms", "main", "users", (), 5, generations=(generations[0], generations[1]))
        return row_count(report, found).verdict

    assert (verdict(4, 4), verdict(3, 3), verdict(3, 4)) == (U, F, F)


def test_what_else_may_have_changed_the_rows_excuses_a_failure_only() -> None:
    """It is unverified then, with the reason and the numbers."""
    report = ReportedStats("users", "incremental_append", 5, 35, attempts=1, doubt="job 7 is a refresh")

    lost, fine = row_count(report, table(5)), row_count(report, table(40))

    assert fine.verdict is P
    assert lost.verdict is U
    assert lost.text == (
        "Unverified: users had 35 rows and has 5, Airbyte reports 5 more: 35 missing; but job 7 is a refresh."
    )


def test_a_total_of_nothing_is_no_number() -> None:
    """A server that knows nothing gives 0, too: an empty table does not pass by it."""
    assert row_count_by_total([ReportedStats("a", "full_refresh_overwrite", None)], [table(0)], 0) is None


def test_what_else_may_have_changed_one_table_excuses_the_total() -> None:
    """Which of the tables lacks the rows is not known."""
    doubtful = ReportedStats("a", "full_refresh_overwrite", None, doubt="job 7 as a whole is failed")
    reports = [ReportedStats("b", "full_refresh_overwrite", None), doubtful]

    found = row_count_by_total(reports, [table(30), table(4)], 35)

    assert found is not None
    assert found.verdict is U


def test_rows_that_a_source_deletes_may_go_missing_later() -> None:
    """Of a deletion nothing is left that would show the sync."""
    report = ReportedStats("users", "incremental_deduped_history", 60, 0, primary_key=("id",))

    assert row_count(report, table(40, 40), counted=50, deletes=True).verdict is U
    assert row_count(report, table(40, 40), counted=50).verdict is F


@pytest.mark.parametrize(
    ("reported", "least", "verdict"), [(0, 1, F), (0, 0, P), (5, 6, F), (None, 0, U), (None, 1, U)]
)
def test_a_sync_that_moved_something(reported: int | None, least: int, verdict: Verdict) -> None:
    """0 as the least: it is enough that the number is known. What is not reported is not 0."""
    assert moved_something(ReportedStats("a", "incremental_append", reported), 0, least).verdict is verdict


def test_a_reset_moves_nothing() -> None:
    """Whatever was reported of it: there was no sync since."""
    assert moved_something(ReportedStats("a", "incremental_append", 5), 5, 1, is_reset=True).verdict is U
