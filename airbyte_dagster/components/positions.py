"""Where in a ``defs.yaml`` a problem is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import dagster as dg

from airbyte_dagster.errors import SpecError

if TYPE_CHECKING:
    from dagster_shared.yaml_utils.source_position import SourcePositionTree

#: A problem begins with the path of what it is about, which may run on into the sentence.
_PATH = re.compile(r"[^\s:]*")


def located(error: SpecError, context: dg.ResolutionContext) -> SpecError:
    """Return an error that says file and line of each problem, where they are known.

    The lines around it are left out, other than in Dagster's errors: a secret may stand in them.

    Args:
        context: Of the attributes.
    """
    tree = context.source_position_tree
    for part in context.path:
        tree = tree.children.get(part) if tree else None
    if tree is None:
        return error
    problems = error.problems or (str(error),)
    return SpecError(
        "These attributes are not valid:",
        problems=tuple(f"{_position(tree, problem)} - {problem}" for problem in problems),
    )


def _position(tree: SourcePositionTree, problem: str) -> str:
    match = _PATH.match(problem)
    for word in match.group().split(".") if match else ():
        child = tree.children.get(word) or (tree.children.get(int(word)) if word.isdigit() else None)
        if child is None:
            break
        tree = child
    return str(tree.position)
