"""How calls, seconds and memory grow with the number of connections, up to 10,000; and the plot of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from benchmarks.measured import run_program
from benchmarks.workspace_runs import OURS, PYTHON, Line, calls_of, workspace

_SIZES = (100, 300, 1_000, 3_000, 10_000)
_STREAMS, _JOB_SECONDS, _MOST = 10, 600, 500


def growth() -> Iterator[Line]:
    """Measure each size: read the workspace, load it from state, and watch a sync of each by a simulated clock."""
    for connections in _SIZES:
        yield _line(connections)


def _line(connections: int) -> Line:
    with workspace(connections, _STREAMS) as (simulation, variables):
        read = run_program(PYTHON, "read_workspace", [], variables).said
        calls = calls_of(simulation)
        state_mb = Path(variables["STATE"]).stat().st_size / 2**20
        loaded = run_program(PYTHON, "load_defs", OURS, variables).said
    size = {"CONNECTIONS": str(connections), "STREAMS": str(_STREAMS)}
    bare = run_program(PYTHON, "load_defs", ["defs_bare"], size).said
    watched = run_program(PYTHON, "watch_many", [str(connections), str(_JOB_SECONDS), str(_MOST)], {}).said
    assert watched["succeeded"] == connections
    figures = {
        "connections": connections,
        "read_calls": calls,
        "read_seconds": read["seconds"],
        "state_mb": state_mb,
        "load_seconds": loaded["seconds"],
        "load_mb": loaded["peak_mb"],
        "bare_seconds": bare["seconds"],
        "bare_mb": bare["peak_mb"],
        "watch_calls": watched["calls"],
        "watch_minutes": watched["minutes"],
        "watch_cpu": watched["cpu"],
        "watch_mb": watched["more_mb"],
    }
    beyond = (watched["calls"] - 2 * connections) / watched["minutes"]
    return Line(
        "growth",
        f"{connections:,} connections × {_STREAMS} streams",
        f"read: {calls} calls, {read['seconds']:.1f} s; load: {loaded['seconds']:.1f} s, {loaded['peak_mb']:.0f} MB; "
        f"watch: {watched['calls']:,} calls ({beyond:.0f} a minute + 2 a sync) in {watched['minutes']:.0f} min, "
        f"{watched['cpu']:.1f} s CPU",
        f"Dagster, the same specs: {bare['seconds']:.1f} s, {bare['peak_mb']:.0f} MB",
        figures=figures,
    )


# The plot

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 250, 190, 62, 44, 74
_COLOURS = ("#1f6feb", "#8c959f")
_PANELS = (
    ("seconds to read it", (("read_seconds", "50 ms a request"),)),
    ("seconds to load it", (("load_seconds", "airbyte-dagster"), ("bare_seconds", "Dagster alone"))),
    ("MB of memory to load it", (("load_mb", "airbyte-dagster"), ("bare_mb", "Dagster alone"))),
    ("calls to sync all once", (("watch_calls", "airbyte-dagster"),)),
)


def draw(figures: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the figures of `growth` as SVG, both axes logarithmic."""
    if not figures:
        return
    columns = 2
    width = columns * (_LEFT + _WIDTH) + 20
    height = math.ceil(len(_PANELS) / columns) * (_HEIGHT + _GAP) + 10
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = 'font-family="system-ui, sans-serif" font-size="11" fill="#57606a"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for index, (title, series) in enumerate(_PANELS):
        left = (index % columns) * (_LEFT + _WIDTH) + _LEFT
        top = (index // columns) * (_HEIGHT + _GAP) + _TOP
        parts += _panel(figures, title, series, left, top)
    parts.append(f'<text x="{width / 2}" y="{height - 8}" text-anchor="middle">connections of ten streams each</text>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(
    figures: Sequence[dict[str, Any]], title: str, series: Sequence[tuple[str, str]], left: int, top: int
) -> Iterator[str]:
    values = [item[name] for item in figures for name, _ in series]
    lowest, highest = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    sizes = [math.log10(item["connections"]) for item in figures]

    def x(size: float) -> float:
        return left + (size - sizes[0]) / ((sizes[-1] - sizes[0]) or 1) * _WIDTH

    def y(value: float) -> float:
        return top + _HEIGHT - (math.log10(value) - lowest) / ((highest - lowest) or 1) * _HEIGHT

    yield f'<text x="{left}" y="{top - 26}" font-size="13" font-weight="600" fill="#1f2328">{escape(title)}</text>'
    for power in range(lowest, highest + 1):
        at = y(10**power)
        yield f'<line x1="{left}" x2="{left + _WIDTH}" y1="{at:.1f}" y2="{at:.1f}" stroke="#d0d7de"/>'
        yield f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{10**power:,g}</text>'
    for item, size in zip(figures, sizes, strict=True):
        yield f'<text x="{x(size):.1f}" y="{top + _HEIGHT + 16}" text-anchor="middle">{item["connections"]:,}</text>'
    for number, (name, label) in enumerate(series):
        colour = _COLOURS[number]
        points = [(x(size), y(item[name])) for item, size in zip(figures, sizes, strict=True)]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for a, b in points:
            yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>'
        at = left + 130 * number
        yield f'<rect x="{at}" y="{top - 17}" width="10" height="3" fill="{colour}"/>'
        yield f'<text x="{at + 14}" y="{top - 11}">{escape(label)}</text>'
