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
