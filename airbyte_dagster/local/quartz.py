"""Quartz cron expressions, which Airbyte's schedules are written in. Times are UTC."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

_FIRST_YEAR, _LAST_YEAR = 1970, 2099
_DAYS_OF_WEEK = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 1, 7, _DAYS_OF_WEEK),
    ("year", _FIRST_YEAR, _LAST_YEAR, {}),
)
_FEWEST, _DAY_OF_MONTH, _MONTH, _DAY_OF_WEEK = 6, 3, 4, 5
_DaysOf = Callable[[int, int], set[int]]
"""The days that are meant in a year's month."""


class BadCron(ValueError):
    """The text is no Quartz expression; the message is one sentence that says why."""


class Cron:
    """A Quartz expression: seconds, minutes, hours, day of month, month, day of week and, if wanted, year.

    Args:
        text: Such as ``0 0 6 * * ?``; ``L``, ``W`` and ``#`` are known, and names of months and days. Days of the
            week are 1 to 7 from Sunday.

    Raises:
        BadCron: It is none.
    """

    def __init__(self, text: str) -> None:
        fields = text.upper().split()
        if not _FEWEST <= len(fields) <= len(_FIELDS):
            raise BadCron(f"a Quartz expression has 6 or 7 fields, not {len(fields)}")
        if len(fields) == _FEWEST:
            fields.append("*")
        self._seconds, self._minutes, self._hours = (sorted(_numbers(fields[i], i)) for i in range(3))
        self._months = _numbers(fields[_MONTH], _MONTH)
        self._years = sorted(_numbers(fields[-1], len(_FIELDS) - 1))
        by_month, by_week = fields[_DAY_OF_MONTH], fields[_DAY_OF_WEEK]
        if by_week in {"?", "*"}:
            self._days = _days_of_month("*" if by_month == "?" else by_month)
        elif by_month in {"?", "*"}:
            self._days = _days_of_week(by_week)
        else:
            raise BadCron("only one of day of month and day of week can be given; the other has to be ?")

    def after(self, moment: float) -> float | None:
        """The next time it means.

        Args:
            moment: Epoch seconds.

        Returns:
            Epoch seconds, later than the given ones; None if there is no such time.
        """
        start = datetime.fromtimestamp(moment, timezone.utc).replace(microsecond=0) + timedelta(seconds=1)
        for year, month, day in self._dates(start):
            is_first = (year, month, day) == (start.year, start.month, start.day)
            time = self._time_from((start.hour, start.minute, start.second) if is_first else (0, 0, 0))
            if time is not None:
                return datetime(year, month, day, *time, tzinfo=timezone.utc).timestamp()
        return None

    def _dates(self, start: datetime) -> Iterator[tuple[int, int, int]]:
        for year in self._years:
            for month in sorted(self._months):
                if (year, month) < (start.year, start.month):
                    continue
                for day in sorted(self._days(year, month)):
                    if (year, month, day) >= (start.year, start.month, start.day):
                        yield year, month, day

    def _time_from(self, earliest: tuple[int, int, int]) -> tuple[int, int, int] | None:
        for hour in self._hours:
            if hour < earliest[0]:
                continue
            for minute in self._minutes:
                if (hour, minute) < earliest[:2]:
                    continue
                for second in self._seconds:
                    if (hour, minute, second) >= earliest:
                        return hour, minute, second
        return None


def _number(text: str, field: int) -> int:
    name, low, high, names = _FIELDS[field]
    value = names.get(text, int(text) if re.fullmatch(r"[0-9]{1,4}", text) else -1)
    if not low <= value <= high:
        raise BadCron(f"{text!r} is no {name}: it goes from {low} to {high}")
    return value


def _numbers(text: str, field: int) -> set[int]:
    _, low, high, _ = _FIELDS[field]
    found: set[int] = set()
    for part in text.split(","):
        span, slash, every = part.partition("/")
        first, dash, last = span.partition("-")
        step = int(every) if re.fullmatch(r"[0-9]{1,4}", every) else 0
        if slash and not step:
            raise BadCron(f"{part!r} has no number of steps after the slash")
        if span == "*" or (slash and not span):
            start, end = low, high
        else:
            start = _number(first, field)
            end = _number(last, field) if dash else (high if slash else start)
        if start <= end:
            found.update(range(start, end + 1, step or 1))
        else:  # over the end of the week, the day, …
            found.update((n - low) % (high - low + 1) + low for n in range(start, end + high - low + 2, step or 1))
    return found


def _last_day(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _days_of_month(text: str) -> _DaysOf:
    if text in {"LW", "WL"}:
        return lambda year, month: {_nearest_weekday(year, month, _last_day(year, month))}
    if from_end := re.fullmatch(r"L(?:-([0-9]{1,2}))?", text):
        back = int(from_end[1] or 0)
        return lambda year, month: {day for day in (_last_day(year, month) - back,) if day > 0}
    if weekday := re.fullmatch(r"([0-9]{1,2})W", text):
        wanted = _number(weekday[1], _DAY_OF_MONTH)
        return lambda year, month: (
            {_nearest_weekday(year, month, wanted)} if wanted <= _last_day(year, month) else set()
        )
    days = _numbers(text, _DAY_OF_MONTH)
    return lambda year, month: {day for day in days if day <= _last_day(year, month)}


def _days_of_week(text: str) -> _DaysOf:
    if text == "L":
        text = "7"
    if last := re.fullmatch(r"(\w+)L", text):
        wanted = _number(last[1], _DAY_OF_WEEK)
        return lambda year, month: {max(_on_weekdays(year, month, {wanted}))}
    if nth := re.fullmatch(r"(\w+)#([1-5])", text):
        wanted, place = _number(nth[1], _DAY_OF_WEEK), int(nth[2])
        return lambda year, month: set(sorted(_on_weekdays(year, month, {wanted}))[place - 1 : place])
    days = _numbers(text, _DAY_OF_WEEK)
    return lambda year, month: _on_weekdays(year, month, days)


def _weekday(year: int, month: int, day: int) -> int:
    """1 to 7 from Sunday."""
    return (calendar.weekday(year, month, day) + 1) % 7 + 1


def _on_weekdays(year: int, month: int, weekdays: set[int]) -> set[int]:
    return {day for day in range(1, _last_day(year, month) + 1) if _weekday(year, month, day) in weekdays}


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The day from Monday to Friday that is nearest to a day, within its month."""
    weekday = _weekday(year, month, day)
    if weekday == _DAYS_OF_WEEK["SAT"]:
        return day - 1 if day > 1 else day + 2
    if weekday == _DAYS_OF_WEEK["SUN"]:
        return day + 1 if day < _last_day(year, month) else day - 2
    return day
