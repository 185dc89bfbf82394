"""Checks that block: what is downstream of their asset is not to run, what is downstream of others is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from airbyte_dagster.checks.specs import Checks


class BlockingChecks:
    """Passes on the results of the syncs of a step.

    Dagster fails a step of which a blocking check failed, and skips all that is downstream of any of its assets. So if
    another asset of the step has something downstream in this run, the asset whose check failed is recorded without an
    output of the step: what is downstream of it is skipped, and of nothing else. The run goes on then; its failed check
    is an error in its log.

    Args:
        context: Of the step.
        checks_of_asset: The checks of an asset.
    """

    def __init__(self, context: dg.AssetExecutionContext, checks_of_asset: Callable[[dg.AssetKey], Checks]) -> None:
        self._context = context
        self._checks_of_asset = checks_of_asset
        self._feeding = _feeding(context)
        self._blocked: list[str] = []
        self._has_passed = False

    def pass_on(self, result: dg.MaterializeResult[Any]) -> Iterator[Any]:
        """Yield a result, or record it without an output."""
        key = result.asset_key
        if key is None or not (failed := self._failed(result)) or not self._feeding - {key}:
            self._has_passed = self._has_passed or key in self._feeding
            yield result
            return
        self._blocked.append(f"{key.to_user_string()}: {', '.join(failed)}")
        self._context.log.error(
            f"What is downstream of {key.to_user_string()} is skipped: {', '.join(failed)} failed, which blocks it."
        )
        self._context.log_event(dg.AssetMaterialization(key, metadata=result.metadata))
        step = self._context.op_execution_context.get_step_execution_context()
        for check in result.check_results or ():
            self._context.log_event(check.to_asset_check_evaluation(step))
        yield from ()

    def raise_if_all(self) -> None:
        """Fail the step if nothing of it has anything downstream that may run: there is nothing to be spared.

        Raises:
            dg.Failure: It names the checks.
        """
        if self._blocked and not self._has_passed:
            raise dg.Failure("Blocking checks failed: " + "; ".join(self._blocked), allow_retries=False)

    def _failed(self, result: dg.MaterializeResult[Any]) -> list[str]:
        results = [
            check.check_name
            for check in result.check_results or ()
            if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
        ]
        if not results or result.asset_key is None:
            return []
        blocking = {name for name, check in self._checks_of_asset(result.asset_key).named() if check.blocking}
        return [name for name in results if name in blocking]


def _feeding(context: dg.AssetExecutionContext) -> set[dg.AssetKey]:
    """Return the assets of a step that something else in this run depends on."""
    layer = context.job_def.asset_layer
    own = context.selected_asset_keys
    others = layer.selected_asset_keys - own
    return {key for key in own if layer.asset_graph.get(key).child_keys & others}
