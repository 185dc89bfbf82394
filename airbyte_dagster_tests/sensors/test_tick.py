"""Calls within a tick."""

from __future__ import annotations

import threading

import pytest

from airbyte_dagster.sensors.tick import SkipTick, TimeLimitedCall


def test_one_call_at_a_time() -> None:
    """While a call runs no other is made; a result that comes late is dropped."""
    limited, gate = TimeLimitedCall(0.01), threading.Event()

    with pytest.raises(SkipTick, match="no answer within"):
        limited.call(lambda: gate.wait(300))
    with pytest.raises(SkipTick, match="still unanswered"):
        limited.call(lambda: pytest.fail("called"))
    gate.set()
    assert limited._running is not None
    limited._running.result(timeout=300)

    limited._seconds = 30
    assert limited.call(lambda: "result") == "result"
