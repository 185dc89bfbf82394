"""The base of everything that a user declares: immutable, unknown keys refused, every problem with its dotted path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from airbyte_dagster.errors import SpecError


class Declaration(BaseModel):
    """Base of everything declared: immutable, unknown keys refused, errors as `SpecError`."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            problems = tuple(_problems(type(self), error))
            raise SpecError(
                f"This {self.model_config.get('title', type(self).__name__)} is not valid:", problems=problems
            ) from None


def _problems(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        nested = item.get("ctx", {}).get("error")
        if isinstance(nested, SpecError):
            yield from (f"{path}.{problem}" if path else problem for problem in nested.problems)
        elif item["type"] == "extra_forbidden":
            known = [field.alias or name for name, field in model.model_fields.items()]
            yield f"{path}: unknown key; {_accepted(str(item['loc'][-1]), known)}"
        elif item["type"] == "literal_error":
            accepted = re.findall(r"'([^']*)'", item["ctx"]["expected"])
            yield f"{path}: {item['input']!r} is not known; {_accepted(str(item['input']), accepted)}"
        elif item["type"] == "missing":
            yield f"{path}: required, but missing"
        else:
            text = item["msg"].removeprefix("Value error, ")
            yield f"{path}: {text}" if path else text


def _accepted(given: str, accepted: Sequence[str]) -> str:
    return f"{did_you_mean(given, accepted)}accepted: {', '.join(accepted)}"


def did_you_mean(given: str, accepted: Sequence[str]) -> str:
    """Return ``"did you mean 'x'? "`` for the nearest of `accepted`, or nothing if none is near."""
    begun = [name for name in accepted if given and name.startswith(given)]
    near = begun or difflib.get_close_matches(given, accepted, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}? " if near else ""
