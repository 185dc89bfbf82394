"""Templates in a ``defs.yaml``: rendered when it is loaded, or, where secrets may stand, when they are needed.

Dagster renders ``{{ env.X }}`` while it loads definitions, so that the plain secret would stand in them. In a
connector's configuration and in the settings of resources, what names the environment is kept as a reference to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg
from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, meta, nodes
from jinja2.nativetypes import NativeEnvironment

from airbyte_dagster.airbyte.configuration import TYPE_KEYS
from airbyte_dagster.errors import ConfigurationError, SpecError

_MARKS = ("{{", "{%")


class _NotSet(StrictUndefined):
    """A variable that is not set. It is false, as ``{{ env.X or 'x' }}`` needs; nothing else can be made of it."""

    def __bool__(self) -> bool:  # type: ignore[override]
        return False


class _Environment:
    """What ``env`` is in a template that is rendered late."""

    def __call__(self, name: str, default: Any = None) -> Any:
        value = os.environ.get(name, default)
        return _NotSet(name=name) if value is None else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("jinja"):
            raise AttributeError(name)
        return self(name)


def _must_be_set(value: Any) -> Any:
    if value is None or isinstance(value, Undefined):
        raise UndefinedError
    return value


_JINJA = NativeEnvironment(undefined=StrictUndefined, finalize=_must_be_set)


@dataclass(frozen=True)
class LateTemplate:
    """A template that names the environment. It is read as Dagster's ``EnvVar`` is; see `EnvironmentReference`.

    Attributes:
        text: The template.
        scope: What else it may name.
    """

    text: str
    scope: Mapping[str, Any] = field(repr=False, compare=False)

    @cached_property
    def env_var_name(self) -> str:
        """Names of the variables in it."""
        return " or ".join(_variables(_JINJA.parse(self.text))) or self.text

    def get_value(self, default: str | None = None) -> Any:
        """Render it; ``default`` if a variable in it is not set.

        Unlike in Dagster's templates, text that looks like a number stays text: a password may do so.

        Raises:
            ConfigurationError: It can't be rendered.
        """
        template = _JINJA.from_string(self.text)
        context = template.new_context({**self.scope, "env": _Environment()})
        try:
            parts = list(template.root_render_func(context))
        except UndefinedError:
            return default
        except Exception as error:  # noqa: BLE001 - whatever a filter raises may tell the value
            raise ConfigurationError(
                f"The template {self.text!r} can't be rendered with what the environment has ({type(error).__name__})."
            ) from None
        return parts[0] if len(parts) == 1 else "".join(str(part) for part in parts)


def rendered(context: dg.ResolutionContext, value: Any, *, late: bool = False) -> Any:
    """Render the templates in what stands in a ``defs.yaml``, at any depth; what is no template stays as it is.

    Args:
        context: Of the place where `value` stands.
        late: Whether what names the environment becomes an ``EnvVar`` or a `LateTemplate`. The type of a connector is
            needed at once, and so rendered at once.

    Raises:
        ResolutionException: Of Dagster's: something is not known, with file and line.
        SpecError: A template is not valid.
    """
    if isinstance(value, Mapping):
        return {
            key: rendered(context.at_path(key), item, late=late and key not in TYPE_KEYS) for key, item in value.items()
        }
    if isinstance(value, list):
        return [rendered(context.at_path(index), item, late=late) for index, item in enumerate(value)]
    if not isinstance(value, str) or not any(mark in value for mark in _MARKS):
        return value
    text = _quoted_text(value)
    if text is not None:
        return text
    return (_reference(context, value) if late else None) or context.resolve_value(value)


def _quoted_text(text: str) -> str | None:
    """Return the text that ``{{ '…' }}`` stands for; None for other templates.

    Jinja's native types would make of it what Python does: a number, a list, what is between further quotes.
    """
    try:
        parsed = _JINJA.parse(text)
    except TemplateError:
        return None
    match parsed.body:
        case [nodes.Output(nodes=[nodes.Const(value=str(quoted))])]:
            return quoted
    return None


def _reference(context: dg.ResolutionContext, text: str) -> dg.EnvVar | LateTemplate | None:
    """Return what stands for a template that names the environment; None for others."""
    try:
        parsed = _JINJA.parse(text)
    except TemplateError:
        return None  # Dagster says what is wrong with it, and where.
    named = meta.find_undeclared_variables(parsed)
    if "env" not in named:
        return None
    unknown = sorted(named - context.scope.keys())
    if unknown:
        where = ".".join(str(part) for part in context.path[1:])
        raise SpecError(
            "A template names what is not known.",
            problems=(f"{where}: {', '.join(unknown)} is not known; known: {', '.join(sorted(context.scope))}",),
        )
    return _plain_reference(parsed) or LateTemplate(text, context.scope)


def _plain_reference(parsed: nodes.Template) -> dg.EnvVar | None:
    """Return the ``EnvVar`` that ``{{ env.X }}`` and ``{{ env('X') }}`` are."""
    match parsed.body:
        case [nodes.Output(nodes=[nodes.Getattr(node=nodes.Name(name="env"), attr=str(name))])]:
            return dg.EnvVar(name)
        case [
            nodes.Output(
                nodes=[nodes.Call(node=nodes.Name(name="env"), args=[nodes.Const(value=str(name))], kwargs=[])]
            )
        ]:
            return dg.EnvVar(name)
    return None


def _variables(parsed: nodes.Template) -> list[str]:
    """Return the names of the variables that a template reads, in the order in which they stand there."""
    read = [
        node.attr
        for node in parsed.find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == "env"
    ]
    called = [
        node.args[0].value
        for node in parsed.find_all(nodes.Call)
        if isinstance(node.node, nodes.Name)
        and node.node.name == "env"
        and node.args
        and isinstance(node.args[0], nodes.Const)
    ]
    return list(dict.fromkeys([*read, *called]))
