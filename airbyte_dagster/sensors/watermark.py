"""A value that grows: of which kinds it may be, how two are compared, and how one is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airbyte_dagster.sensors.tick import SkipTick

_LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Watermark:
    """A value of a kind whose values can be put in order.

    Attributes:
        kind: ``number``, ``date``, ``timestamp``, ``timestamp with time zone`` or ``text``; only values of one kind
            can be compared.
        value: A `Decimal`, `date`, `datetime` (in UTC if it has a time zone) or text.
    """

    kind: str
    value: Any

    @classmethod
    def of(cls, value: Any) -> Watermark:
        """Take what a database returned.

        Raises:
            SkipTick: It is of no kind that can be put in order.
        """
        if isinstance(value, dt.datetime):
            if value.utcoffset() is None:
                return cls("timestamp", value.replace(tzinfo=None))
            return cls("timestamp with time zone", value.astimezone(dt.timezone.utc))
        if isinstance(value, dt.date):
            return cls("date", value)
        if isinstance(value, str):
            return cls("text", value)
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            # Through its text, a float is the number that people see: 0.1 and not 0.1000000000000000055….
            number = Decimal(str(value))
            if not number.is_nan():
                return cls("number", number)
        raise SkipTick(
            f"The query returned a value of the type {type(value).__name__} that has no place in an order.",
            guidance="It must return a number, date, timestamp or text; cast it in the query.",
        )

    @classmethod
    def from_json(cls, data: Any) -> Watermark:
        """Read what `to_json` wrote."""
        kind, text = data
        return cls(kind, _READ[kind](text))

    def to_json(self) -> list[str]:
        """Return kind and value as texts."""
        text = self.value.isoformat() if isinstance(self.value, dt.date) else str(self.value)
        return [self.kind, text]

    def __str__(self) -> str:
        """The value, for people; not all of a long text."""
        text = self.to_json()[1]
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


_READ: dict[str, Callable[[str], Any]] = {
    "number": Decimal,
    "date": dt.date.fromisoformat,
    "timestamp": dt.datetime.fromisoformat,
    "timestamp with time zone": dt.datetime.fromisoformat,
    "text": str,
}
