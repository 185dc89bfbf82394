"""What goes wrong on the way between a client and a server, by chance, but the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "rate_limited",
    "bad_gateway",
    "unavailable",
    "gateway_timeout",
    "refused",
    "dropped",
    "answer_lost",
    "late",
    "expired",
    "shifted",
]

STATUS: dict[Kind, int] = {
    "rate_limited": 429,
    "bad_gateway": 502,
    "unavailable": 503,
    "gateway_timeout": 504,
    "expired": 401,
}
KINDS: tuple[Kind, ...] = (*STATUS, "refused", "dropped", "answer_lost", "late", "shifted")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: Those of `STATUS` are answers in the server's place. ``expired`` voids all tokens. ``refused``: no
            connection is made. ``dropped``: it ends before the server has seen the request; ``answer_lost``: after it
            has acted; ``late``: it acts later. ``shifted``: the call is answered, from lists in another order.
        has_acted: For the answers of gateways: whether the server acted all the same.
        seconds: For ``rate_limited``: what ``Retry-After`` says. For ``late``: after how many seconds the server acts.
    """

    kind: Kind
    has_acted: bool = False
    seconds: float = 1.0


#: Decides about one call, by method and path.
Faults = Callable[[str, str], Fault | None]


class RandomFaults:
    """Faults for a share of all calls.

    Args:
        seed: Decides all.
        rate: Share of the calls that something goes wrong with.
        kinds: Which, all alike.
        late_seconds: A call that the server acts on ``late`` is acted on within this time.

    Attributes:
        done: The faults so far.
    """

    def __init__(self, seed: int, rate: float, kinds: tuple[Kind, ...] = KINDS, *, late_seconds: float = 60.0) -> None:
        self.done: list[Fault] = []
        self._chance = random.Random(seed)  # noqa: S311 - no secret depends on it
        self._rate = rate
        self._kinds = kinds
        self._late_seconds = late_seconds

    def __call__(self, method: str, path: str) -> Fault | None:  # noqa: ARG002
        """Decide about one call."""
        if self._chance.random() >= self._rate:
            return None
        kind = self._chance.choice(self._kinds)
        seconds = self._chance.uniform(0, self._late_seconds) if kind == "late" else float(self._chance.randint(1, 5))
        fault = Fault(kind, has_acted=self._chance.random() < 0.5, seconds=seconds)
        self.done.append(fault)
        return fault
