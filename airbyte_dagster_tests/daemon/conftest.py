"""The order of these tests: they take minutes, so they begin first; what needs the clock's next minutes comes last."""

from __future__ import annotations

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


@pytest.fixture
def after_the_others() -> None:
    """Asked for by tests of schedules, which tick once a minute: the others use up that time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of this directory before all others, and of these, those that ask for it last."""
    ours = [item for item in items if _HERE in item.path.parents]
    ours.sort(key=lambda item: "after_the_others" in getattr(item, "fixturenames", ()))
    items[:] = [*ours, *(item for item in items if item not in ours)]
