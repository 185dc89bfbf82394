"""Where the cache of connectors is."""

from __future__ import annotations

from pathlib import Path

import pytest

from airbyte_dagster.local.settings import CACHE_VARIABLE, cache_directory, resolve_home


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A user's home directory."""
    made = tmp_path / "user"
    made.mkdir()
    return made


def test_all_homes_of_a_user_share_it(user: Path, tmp_path: Path) -> None:
    """It is the user's cache directory, by the rules of XDG, or the one that the variable names."""
    for home in (resolve_home(tmp_path / "one"), resolve_home(tmp_path / "other")):
        assert cache_directory(home, {"HOME": str(user)}) == user / ".cache" / "airbyte-dagster"
        xdg = {"HOME": str(user), "XDG_CACHE_HOME": str(tmp_path / "xdg")}
        assert cache_directory(home, xdg) == tmp_path / "xdg" / "airbyte-dagster"
        # "All paths set in these environment variables must be absolute", and others ignored.
        assert cache_directory(home, {**xdg, "XDG_CACHE_HOME": "xdg"}) == user / ".cache" / "airbyte-dagster"
        assert cache_directory(home, {**xdg, CACHE_VARIABLE: str(tmp_path / "mine")}) == tmp_path / "mine"


@pytest.mark.parametrize("found", ["no such directory", "no such user"])
def test_user_without_a_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    """As in a container: then it is in the home of local Airbyte."""

    def home() -> Path:
        if found == "no such user":
            raise RuntimeError("Could not determine home directory.")
        return tmp_path / "missing"

    monkeypatch.setattr(Path, "home", home)
    where = resolve_home(tmp_path / "home")

    assert cache_directory(where, {}) == tmp_path / "home" / "cache"
    assert cache_directory(where, {"HOME": str(tmp_path / "missing")}) == tmp_path / "home" / "cache"
