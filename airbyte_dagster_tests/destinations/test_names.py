"""What destinations make of names, by the cases that every path has to carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airbyte_dagster.destinations import names

CASES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "cases/names.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES["duckdb_and_motherduck"], ids=lambda case: case["name"])
def test_motherduck(case: dict[str, str]) -> None:
    """ASCII letters are lower-cased, letters and digits of any script are kept."""
    assert names.motherduck(case["name"]) == case["becomes"]


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("My-Users", "My_Users"),
        ("2024 \t orders", "_2024_orders"),
        ("Größe (cm)", "Gro_e__cm_"),
        ("税率", "__"),
        ("x" * 63, "x" * 63),
        # String.hashCode() of 64 x is 922607616.
        ("x" * 64, "x" * 54 + "_" + "22607616"),
    ],
)
def test_postgres(name: str, becomes: str) -> None:
    """The case is kept, accents are stripped, and a long name ends with digits of Java's hash."""
    assert names.postgres(name) == becomes


@pytest.mark.parametrize(
    ("normalise", "name", "becomes"),
    [
        (names.snowflake, "2024 open-orders", "2024 OPEN-ORDERS"),
        (names.snowflake, "Größe (cm)", "GRÖSSE (CM)"),
        (names.snowflake, "a${b}", "A__B_"),
        (names.bigquery, "2024 Größe", "_2024_Gro_e"),
        (names.bigquery, "_x", "_x"),
        (names.bigquery_dataset, "2024_q1", "2024_q1"),
        (names.bigquery_dataset, "_raw", "n_raw"),
        (names.bigquery_dataset, "my-project:Sales EU", "Sales_EU"),
        (names.redshift, "2024 Orders", "_2024_orders"),
        (names.redshift, "X" * 127, "x" * 127),
        # String.hashCode() of 128 x is -1896103936, which is 8efbc000 without a sign.
        (names.redshift, "X" * 128, "x" * 118 + "_8efbc000"),
        (names.databricks, "2024 Orders", "_2024_orders"),
        (names.alphanumeric_lower, "2024 Orders", "2024_orders"),
        (names.mysql, "Open-Orders", "open_orders"),
        (names.mysql, "a" * 30 + "b" * 30, "a" * 21 + "__" + "b" * 21),
    ],
)
def test_other_warehouses(normalise: names.Normaliser, name: str, becomes: str) -> None:
    """As the source of each connector has it, which its docstring names."""
    assert normalise(name) == becomes


def test_postgres_before_3_cuts_at_60_characters() -> None:
    """To 52, and Java's hash to the base 36; of 60 characters that begin alike, each has its own."""
    assert names.postgres_before_3("ab" * 29) == "ab" * 29
    assert names.postgres_before_3("ab" * 30).startswith("ab" * 26)
    assert len(names.postgres_before_3("ab" * 30)) < 60
    assert names.postgres_before_3("ab" * 30) != names.postgres_before_3("ab" * 31)


def test_local_airbyte() -> None:
    """PyAirbyte keeps ASCII alone; a namespace keeps its case."""
    assert names.pyairbyte("Größe (cm)") == "gr__e__cm_"
    assert names.pyairbyte_in_postgres("x" * 80) == "x" * 63
    assert [names.local_schema(name) for name in CASES["namespaces"]] == ["sales_eu", "_2024_q1", "SalesEU", "RAW"]
