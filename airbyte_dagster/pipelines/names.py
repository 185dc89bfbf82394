"""Things of Airbyte known by their names, and who keeps a name that two have made at once.

Airbyte checks no uniqueness. Two runs that find no destination of a name, and each make one, have to agree afterwards
on one of the two, with nothing but Airbyte between them: the oldest is kept by everybody, and whoever made a newer one
deletes it, unless it is used already.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from airbyte_dagster.airbyte import records
from airbyte_dagster.errors import AmbiguousName, OutcomeUnknown, RequestTimedOut, UnexpectedAnswer

Named = TypeVar("Named", bound=records.Actor | records.Connection)

#: How often, and with what wait (seconds), to look for something whose creation got no answer.
_LOOKS_FOR_LOST = 6
_LOST_INTERVAL = 10.0
#: The same for others to remove what they have made at the same moment.
LOOKS_FOR_OTHERS = 6
OTHERS_INTERVAL = 2.0
#: Seconds for which things of one name may still be those of two runs that have just made them.
_JUST_NOW = 120.0


def by_name(kind: str, name: str, found: Sequence[Named]) -> Named | None:
    """Return the one thing of a name, or ``None``. What is deleted does not exist.

    Raises:
        AmbiguousName: There are several; their ids are in the message.
    """
    same = _of_name(name, found)
    if len(same) > 1:
        raise _ambiguous(kind, name, same)
    return same[0] if same else None


def is_being_settled(name: str, found: Sequence[Any], now: float) -> bool:
    """Whether several have a name and the newest is so new that whoever made it may be about to delete it."""
    same = _of_name(name, found)
    return len(same) > 1 and any(at is not None and now - at < _JUST_NOW for at in map(_created_at, same))


@dataclass(frozen=True)
class NameRace(Generic[Named]):
    """The making of one thing whose name others may be about to take.

    Attributes:
        kind: What it is, for people.
        found: Lists all things of its kind.
        is_used: Whether something depends on the one with an id.
        delete: Deletes the one with an id.
        log: Takes lines for people.
        sleep: Waits so many seconds.
    """

    kind: str
    name: str
    found: Callable[[], Sequence[Named]]
    is_used: Callable[[str], bool]
    delete: Callable[[str], None]
    log: Callable[[str], None]
    sleep: Callable[[float], None] = field(default=time.sleep)

    def create(self, create: Callable[[], Named]) -> tuple[Named, bool]:
        """Create it once; return what has the name from now on, and whether that is certainly what was sent here.

        Raises:
            OutcomeUnknown: The create got no answer, and what it should have made did not turn up.
            AmbiguousName: Another one was made at the same moment, and both are used already.
        """
        try:
            mine = create()
        except (RequestTimedOut, UnexpectedAnswer) as error:
            self.log(f"No answer about the new {self.kind} {self.name!r}; looking whether Airbyte has it …")
            return self._lost(error), False
        return self._settled(mine)

    def _settled(self, mine: Named) -> tuple[Named, bool]:
        """Keep ours if it is the oldest, else delete it.

        Airbyte's times are whole seconds. Of those that were made in the same one, another may be kept by somebody who
        saw it alone, before ours was made: so ours yields to it, unless it goes.
        """
        same = self._same(mine)
        for _ in range(LOOKS_FOR_OTHERS):
            if same[0] is not mine or not _is_tie(same):
                break
            self.sleep(OTHERS_INTERVAL)
            same = self._same(mine)
        if same[0] is mine and not _is_tie(same):
            return mine, True
        self._remove(mine, same)
        return self._only_one(), False

    def _lost(self, error: Exception) -> Named:
        """Look whether it was made: a blind repeat makes a second one."""
        for look in range(_LOOKS_FOR_LOST):
            if look:
                self.sleep(_LOST_INTERVAL)
            if _of_name(self.name, self.found()):
                return self._only_one(remove_newer=True)
        raise OutcomeUnknown(
            f"Airbyte gave no answer when it was asked to create the {self.kind} {self.name!r}, and does not list it.",
            guidance="Run again: what exists by then is found by its name, and nothing is made twice.",
        ) from error

    def _only_one(self, *, remove_newer: bool = False) -> Named:
        """Wait until one is left.

        Args:
            remove_newer: Delete those that are newer than the oldest and that nobody else has deleted: one of them is
                ours, made by a request whose answer was lost.
        """
        for look in range(LOOKS_FOR_OTHERS):
            if look:
                self.sleep(OTHERS_INTERVAL)
            same = _of_name(self.name, self.found())
            if len(same) == 1:
                return same[0]
        if not same:
            raise OutcomeUnknown(
                f"The {self.kind} {self.name!r} was made twice at the same moment, and is gone now.",
                guidance="Run again: it is made then.",
            )
        if not remove_newer or any(_created_at(item) is None for item in same):
            raise _ambiguous(self.kind, self.name, same)
        for newer in same[1:]:
            self._remove(newer, same)
        return same[0]

    def _same(self, mine: Named) -> list[Named]:
        """Return all of the name, oldest first, ours among them even if a list does not have it yet."""
        others = [item for item in _of_name(self.name, self.found()) if item.id != mine.id]
        return sorted((mine, *others), key=_age_order)

    def _remove(self, mine: Named, same: Sequence[Named]) -> None:
        if self.is_used(mine.id):
            raise _ambiguous(self.kind, self.name, same)
        self.delete(mine.id)
        kept = next(item for item in same if item is not mine)
        self.log(
            f"Another run made the {self.kind} {self.name!r} at the same moment: {kept.id} is kept, "
            f"{mine.id} was not in use and is deleted."
        )


def _of_name(name: str, found: Sequence[Named]) -> list[Named]:
    """Return those of a name that exist, oldest first."""
    same = [item for item in found if item.name == name and getattr(item, "status", "") != "deprecated"]
    return sorted(same, key=_age_order)


def _created_at(item: Any) -> float | None:
    """Return when it was made, in seconds since 1970; ``None`` where the server does not say."""
    at = item.raw.get("createdAt")
    return float(at) if isinstance(at, int | float) else None


def _age_order(item: Any) -> tuple[float, str]:
    """Sort by age, then by id; what has no age may be the oldest of all."""
    at = _created_at(item)
    return -math.inf if at is None else at, item.id


def _is_tie(same: Sequence[Any]) -> bool:
    return len(same) > 1 and (_created_at(same[0]) is None or _created_at(same[0]) == _created_at(same[1]))


def _ambiguous(kind: str, name: str, same: Sequence[Any]) -> AmbiguousName:
    return AmbiguousName(
        f"The workspace has {len(same)} {kind}s named {name!r}: {', '.join(sorted(item.id for item in same))}.",
        guidance=f"A pipeline knows its {kind} by name: rename or delete all but one. Nothing was changed.",
    )
