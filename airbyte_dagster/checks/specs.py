"""The checks that a user declares, for a pipeline or for one of its streams; `rules` evaluates them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from airbyte_dagster.declaration import Declaration
from airbyte_dagster.errors import SpecError

#: When Airbyte's destinations read a record; every destination of its second generation writes it.
EXTRACTED_AT = "_airbyte_extracted_at"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = re.compile(r"(\d+)\s*([smhdw])")
_SHORTEST_WINDOW = dt.timedelta(minutes=1)
_Window = Annotated[str, Field(pattern=r"^[-+]?P|^\s*(\d+\s*[smhdwSMHDW]\s*)+$")]


def _as_window(value: Any) -> Any:
    """Take ``"36h"``, ``"1d 12h"``; leave what pydantic knows (ISO 8601, `timedelta`) to it."""
    if isinstance(value, str) and re.fullmatch(rf"(?:{_PART.pattern}\s*)+", value.strip().lower()):
        parts = _PART.findall(value.lower())
        return sum((dt.timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), dt.timedelta())
    if isinstance(value, int | float) or (isinstance(value, str) and not value.lstrip("-+").startswith("P")):
        raise ValueError(f"{value!r} is no length of time, such as 30m, 36h, 1d 12h or P1D")
    return value


def _is_policy(window: dt.timedelta) -> dt.timedelta:
    if window < _SHORTEST_WINDOW:
        raise ValueError(
            f"{window.total_seconds():g} s is too short: at least 60s, which Dagster's freshness policy needs"
        )
    return window


def _as_columns(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _on_or_off(value: Any) -> Any:
    """Take ``true`` for the defaults, and ``false`` for no such check."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_as_columns, json_schema_input_type=str | tuple[str, ...])]


class Check(Declaration):
    """What every check can be told.

    Args:
        blocking: Whether a failure stops the assets downstream in the same run. Needs the severity ``error``.
        severity: What a failure is reported as. What can't be verified is always a warning.
    """

    blocking: bool = Field(default=False, description="Whether a failure stops downstream assets in the same run.")
    severity: Literal["error", "warn"] = Field(default="error", description="What a failure is reported as.")

    @model_validator(mode="after")
    def _can_block(self) -> Check:
        if self.blocking and self.severity == "warn" and "blocking" in self.model_fields_set:
            raise ValueError("blocking: a check with severity warn blocks nothing: leave it out, or say severity error")
        return self


class RowCount(Check):
    """Rows in the warehouse against the records that Airbyte reports, by the stream's sync mode. Blocks by default."""

    blocking: bool = Field(default=True, description="Whether a failure stops downstream assets in the same run.")


class MovedSomething(Check):
    """A sync that succeeded brought at least some records.

    Args:
        min_rows_synced: How many at least; 0: it is enough that Airbyte says how many they were.
    """

    min_rows_synced: int = Field(default=1, ge=0, description="Records that a sync must bring at least.")


class Sampled(Check):
    """A check that shows some of the rows that are wrong.

    Args:
        samples: ``keys``: their keys; ``rows``: all of their columns; ``none``: nothing.
    """

    samples: Literal["keys", "rows", "none"] = Field(
        default="keys", description="What a failure shows of up to 10 rows that are wrong."
    )


class UniqueKey(Sampled):
    """No two rows have the same key.

    Args:
        columns: The key; the stream's primary key by default.
    """

    columns: Columns = Field(default=(), description="Columns of the key; the stream's primary key by default.")


class NotNull(Sampled):
    """No nulls in the primary key, nor in further columns.

    Args:
        columns: Further columns.
    """

    columns: Columns = Field(default=(), description="Columns without nulls, besides the primary key.")


class Fresh(Check):
    """The newest row is no older than a window; the asset gets a freshness policy of the same window, too.

    Args:
        within: Length of time, at least a minute: ``36h``, ``1d 12h``, ISO 8601, or a `timedelta`.
        column: A date or timestamp; those without a time zone are taken for UTC.
    """

    within: Annotated[
        dt.timedelta, BeforeValidator(_as_window, json_schema_input_type=_Window), AfterValidator(_is_policy)
    ] = Field(description="How old the newest row may be: 30m, 36h, 1d 12h, or ISO 8601.")
    column: str = Field(default=EXTRACTED_AT, min_length=1, description="Date or timestamp that tells a row's age.")


class Schema(Check):
    """The columns are those of the last materialization. Removed or retyped ones fail, added ones warn.

    So do columns that had values and have only NULL now, and those of the source that are not there.
    """


class ValuesKept(Check):
    """No row lists values in ``_airbyte_meta`` that the destination had to null or cut. A warning by default."""

    severity: Literal["error", "warn"] = Field(default="warn", description="What a failure is reported as.")


class ExpectedRange(Check):
    """The number of rows lies within bounds, both included.

    Args:
        min: The least; no bound by default.
        max: The most; no bound by default.
    """

    min: int | None = Field(default=None, ge=0, description="Least number of rows.")
    max: int | None = Field(default=None, ge=0, description="Largest number of rows.")

    @model_validator(mode="after")
    def _is_a_range(self) -> ExpectedRange:
        if self.min is None and self.max is None:
            raise ValueError("expected_range needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class CustomSQL(Sampled):
    """A query that must return no rows.

    Args:
        query: In the warehouse's SQL; ``{table}`` stands for the stream's table.
    """

    query: str = Field(min_length=1, description="Must return no rows; {table} stands for the stream's table.")


def _as_query(value: Any) -> Any:
    return {"query": value} if isinstance(value, str) else value


def _switch(kind: Any) -> BeforeValidator:
    return BeforeValidator(_on_or_off, json_schema_input_type=kind | bool | None)


#: What ``strict`` stands for. By a pipeline's schedule there is a `Fresh`, too: see `AirbytePipeline.checks_of`.
_STRICT: Mapping[str, Any] = {
    "moved_something": {"min_rows_synced": 0},
    "unique_key": {},
    "not_null": {},
    "schema": {},
}
_CHECK_NAME = re.compile(r"[A-Za-z0-9_]+")


class Checks(Declaration):
    """Which checks to run after a sync, and by themselves. Each can be ``True``, ``False`` or its own settings.

    Args:
        row_count: See `RowCount`; on by default.
        moved_something: See `MovedSomething`.
        unique_key: See `UniqueKey`.
        not_null: See `NotNull`.
        fresh: See `Fresh`.
        schema: See `Schema`.
        values_kept: See `ValuesKept`; on by default, where the table has ``_airbyte_meta``.
        expected_range: See `ExpectedRange`.
        sql: Name → query or `CustomSQL`.
        preset: ``strict``: all that needs no settings, besides what is said here. ``checks: strict`` says the same.
        on_unverified: What is reported where something can't be known: a warning, or a failure of the check's severity.
    """

    row_count: Annotated[RowCount | None, _switch(RowCount)] = Field(
        default=RowCount(), description="Counts by sync mode."
    )
    moved_something: Annotated[MovedSomething | None, _switch(MovedSomething)] = Field(
        default=None, description="Not empty-handed."
    )
    unique_key: Annotated[UniqueKey | None, _switch(UniqueKey)] = Field(default=None, description="No duplicate keys.")
    not_null: Annotated[NotNull | None, _switch(NotNull)] = Field(default=None, description="No nulls.")
    fresh: Annotated[Fresh | None, _switch(Fresh)] = Field(default=None, description="Not too old.")
    schema_: Annotated[Schema | None, _switch(Schema)] = Field(
        default=None, alias="schema", description="Columns as at the last materialization."
    )
    values_kept: Annotated[ValuesKept | None, _switch(ValuesKept)] = Field(
        default=ValuesKept(), description="No values that the destination had to null or cut."
    )
    expected_range: Annotated[ExpectedRange | None, _switch(ExpectedRange)] = Field(
        default=None, description="Bounds of the count."
    )
    sql: Mapping[str, Annotated[CustomSQL, BeforeValidator(_as_query, json_schema_input_type=CustomSQL | str)]] = Field(
        default_factory=dict, description="Name → a query that must return no rows."
    )
    preset: Literal["light", "strict"] = Field(
        default="light", description="strict: all checks that need no settings, besides what is said here."
    )
    on_unverified: Literal["warn", "fail"] = Field(
        default="warn", description="What is reported where something can't be known."
    )

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, value: Any) -> Any:
        """Take ``strict`` for the preset, and put its checks below those that are said."""
        if isinstance(value, str):
            value = {"preset": value}
        is_strict = isinstance(value, Mapping) and value.get("preset") == "strict"
        return {**_STRICT, **value} if is_strict else value

    @model_validator(mode="after")
    def _names_are_free(self) -> Checks:
        for name in self.sql:
            if not _CHECK_NAME.fullmatch(name):
                raise ValueError(f"sql.{name}: a check's name has letters, digits and underscores only")
            if name in self._built_in_names():
                raise ValueError(f"sql.{name}: this name is taken by the check that is built in")
        return self

    @classmethod
    def _built_in_names(cls) -> list[str]:
        others = ("sql", "preset", "on_unverified")
        return [field.alias or name for name, field in cls.model_fields.items() if name not in others]

    @classmethod
    def of(cls, value: Checks | Mapping[str, Any] | Literal["strict"] | None) -> Checks:
        """Return checks of a declaration, of a mapping of its settings, or of a preset; the defaults for ``None``.

        Raises:
            SpecError: The mapping is not valid, or it is neither.
        """
        if value is None:
            return cls()
        if isinstance(value, str):
            return cls(preset=value)
        if isinstance(value, Mapping):
            return cls(**value)
        if isinstance(value, cls):
            return value
        raise SpecError(f"checks: expected Checks or a mapping of its settings, not {type(value).__name__}.")

    @property
    def is_fresh_by_schedule(self) -> bool:
        """Whether a schedule tells how old the newest row may be."""
        return self.preset == "strict" and "fresh" not in self.model_fields_set

    def over(self, general: Checks) -> Checks:
        """Return `general` with what is said here laid over it, check by check."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        if "sql" in said:
            said["sql"] = {**general.sql, **self.sql}
        return general.model_copy(update=said)

    def named(self) -> Iterator[tuple[str, Check]]:
        """Yield the checks that are on, with their names, in the order of this declaration."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if isinstance(value, Check):
                yield field.alias or name, value
        yield from self.sql.items()


#: `Checks`, or a preset by its name, as a field of what is declared.
ChecksOrPreset = Annotated[
    Checks, BeforeValidator(lambda value: value, json_schema_input_type=Checks | Literal["strict", "light"])
]
