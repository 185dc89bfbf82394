"""The component of ``dg`` whose assets are the connections that a workspace has already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import dagster as dg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext
from dagster._core.storage.defs_state.base import DefsStateStorage
from dagster.components import AssetAttributesModel, DefsStateConfig, DefsStateConfigArgs
from dagster.components.utils import TranslatorResolvingInfo
from dagster_shared.serdes.objects.models.defs_state_info import DefsStateManagementType
from pydantic import BeforeValidator, ConfigDict, Field, create_model
from typing_extensions import Self

from airbyte_dagster.checks.specs import Checks, ChecksOrPreset
from airbyte_dagster.components.attributes import AIRBYTE_KEY, KEY_PATTERN, WAREHOUSE_KEY, ReadsAttributes, own_key
from airbyte_dagster.components.resources import (
    AirbyteSettings,
    WarehouseSettings,
    airbyte_of,
    as_airbyte,
    as_warehouse,
    shared,
)
from airbyte_dagster.components.templates import rendered
from airbyte_dagster.components.workspace_scaffold import WorkspaceScaffolder
from airbyte_dagster.declaration import Declaration
from airbyte_dagster.errors import AirbyteDagsterError
from airbyte_dagster.resources import AirbyteResource, WarehouseResource
from airbyte_dagster.runs.sync_op import OpSettings, Wait
from airbyte_dagster.workspaces.columns import with_columns
from airbyte_dagster.workspaces.definitions import workspace_defs
from airbyte_dagster.workspaces.options import WorkspaceOptions
from airbyte_dagster.workspaces.selector import ConnectionSelector, Selector
from airbyte_dagster.workspaces.snapshot import WorkspaceSnapshot
from airbyte_dagster.workspaces.state import check_is_of, read_workspace
from airbyte_dagster.workspaces.storage import read_file, write_file
from airbyte_dagster.workspaces.translator import AirbyteStreamProps, AirbyteTranslator

_LOG = logging.getLogger("airbyte_dagster")


#: Changes the asset of a stream.
Translation = Callable[[dg.AssetSpec, AirbyteStreamProps], dg.AssetSpec]
_KEY_DESCRIPTION = "The asset's key, its parts divided by slashes."
_Texts = str | tuple[str, ...] | None


class SelectorSettings(Declaration):
    """Connections that fit all that is given."""

    name: _Texts = Field(default=None, description="Glob, or several of which one must fit: shop_*.")
    id: _Texts = Field(default=None, description="Id, or several.")
    tag: _Texts = Field(default=None, description="Tag in Airbyte, or several of which the connection has one.")
    source_type: _Texts = Field(default=None, description="Airbyte's sourceType, or several.")
    destination_type: _Texts = Field(default=None, description="Airbyte's destinationType, or several.")
    status: _Texts = Field(default="active", description="active, inactive, or several; null for all.")


def _as_selector(value: Any) -> Any:
    return ConnectionSelector(**dict(SelectorSettings(**value))) if isinstance(value, Mapping) else value


if TYPE_CHECKING:
    TranslationSettings = Declaration
else:
    # Dagster's own, without what makes no sense of a sync: Airbyte knows no partitions.
    TranslationSettings = create_model(
        "TranslationSettings",
        __base__=Declaration,
        **{
            name: (field.annotation | None, Field(default=None, description=field.description or _KEY_DESCRIPTION))
            for name, field in AssetAttributesModel.model_fields.items()
            if name != "partitions_def"
        },
    )


def _as_translation(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    TranslationSettings(**value)
    return AssetAttributesModel(**{name: item for name, item in value.items() if item is not None})


class WorkspaceAttributes(Declaration):
    """A workspace of Airbyte whose connections become assets."""

    model_config = ConfigDict(title="AirbyteWorkspaceComponent")

    name: str = Field(
        default="workspace",
        pattern=r"^[A-Za-z0-9_]+$",
        description="Begins the names of what is made, such as the job sync_NAME, and of the stored state.",
    )
    airbyte: Annotated[AirbyteResource, BeforeValidator(as_airbyte, json_schema_input_type=AirbyteSettings)] = Field(
        default_factory=lambda: airbyte_of({}),
        description="Which Airbyte, and which workspace. What is left out is taken from AIRBYTE_SERVER_URL, "
        "AIRBYTE_CLIENT_ID, AIRBYTE_CLIENT_SECRET and AIRBYTE_WORKSPACE_ID.",
    )
    connection_selector: Annotated[
        Selector | None, BeforeValidator(_as_selector, json_schema_input_type=SelectorSettings | None)
    ] = Field(
        default=None,
        description="Which connections; the active ones if left out. A template may yield a function of a connection.",
    )
    translation: Annotated[Any, BeforeValidator(_as_translation, json_schema_input_type=TranslationSettings | None)] = (
        Field(
            default=None,
            description="What differs from the assets as they are by default, with templates of props, connection, "
            "stream, source, destination and spec.",
        )
    )
    warehouse: Annotated[
        WarehouseResource | None, BeforeValidator(as_warehouse, json_schema_input_type=WarehouseSettings | None)
    ] = Field(default=None, description="Where the destinations write. Without it, nothing is counted and checked.")
    checks: ChecksOrPreset | None = Field(default=None, description="Of each stream; the row count alone if left out.")
    column_schemas: bool = Field(
        default=False,
        description="Ask Airbyte for the columns of streams, too, when the workspace is read: a call for each source, "
        "whose schema Airbyte may have to discover.",
    )
    max_concurrent_syncs: int | None = Field(
        default=None, ge=1, description="How many syncs a run has on their way at once; all if left out."
    )
    wait: Wait = Field(
        default="inline",
        description="inline: runs wait for their syncs. deferred: the sync sensor records their ends.",
    )
    sync_sensor: bool | None = Field(
        default=None, description="Whether a sensor records what Airbyte syncs by itself; with deferred, it does."
    )
    poll_interval_seconds: int | None = Field(
        default=None,
        ge=30,
        description="Time between looks of the sync sensor at Airbyte, where a webhook reports syncs; 30 s by default.",
    )
    one_op_per_connection: bool = Field(default=False, description="Rather than one op for all connections.")
    pool: str | None = Field(default=None, description="Dagster pool of the ops; op.pool is the same.")
    op: OpSettings = Field(default_factory=OpSettings, description="Description, tags and pool of each op.")
    airbyte_key: str | None = Field(
        default=None,
        pattern=KEY_PATTERN,
        description="Key of the resource: airbyte by default, or NAME_airbyte where airbyte is given.",
    )
    warehouse_key: str | None = Field(
        default=None, pattern=KEY_PATTERN, description="Key of the resource: NAME_warehouse by default."
    )
    defs_state: DefsStateConfigArgs = Field(
        default_factory=DefsStateConfigArgs.local_filesystem,
        description="How Dagster keeps what was read of the workspace: see its state-backed components.",
    )


@dg.scaffold_with(WorkspaceScaffolder)
@dataclass
class AirbyteWorkspaceComponent(ReadsAttributes, dg.StateBackedComponent):
    """The connections that a workspace of Airbyte has already, as assets that are synced and checked.

    What the workspace has is read by ``dg utils refresh-defs-state``, and whenever ``dg dev`` starts or reloads; in
    between, definitions load from what Dagster has stored of it, without Airbyte.

    A subclass may say in `get_asset_spec` how a stream is shown, and do something around the syncs in `execute`.

    Args:
        name: Begins the names of what is made.
        airbyte: Where the workspace is.
        connection_selector: Which connections; the active ones by default.
        translator: How Dagster shows their streams.
        translation: Changes what the translator says.
        warehouse: Where the destinations write.
        checks: Of each stream.
        column_schemas: Ask for the columns of streams, too, when the workspace is read: a call for each source.
        max_concurrent_syncs: How many syncs a run has on their way at once.
        wait: ``inline`` or ``deferred``.
        sync_sensor: Whether there is a sensor that records what Airbyte syncs by itself.
        poll_interval_seconds: Time between looks of that sensor at Airbyte.
        one_op_per_connection: Rather than one op for all.
        pool: Dagster pool of the ops.
        op: Description, tags and pool of each op.
        airbyte_key: Key of the resource.
        warehouse_key: Key of the resource.
        defs_state: How Dagster keeps what was read.
    """

    airbyte: AirbyteResource
    name: str = "workspace"
    connection_selector: Selector | None = None
    translator: AirbyteTranslator | None = None
    translation: Translation | None = None
    warehouse: WarehouseResource | None = None
    checks: Checks | None = None
    column_schemas: bool = False
    max_concurrent_syncs: int | None = None
    wait: Wait = "inline"
    sync_sensor: bool | None = None
    poll_interval_seconds: int | None = None
    one_op_per_connection: bool = False
    pool: str | None = None
    op: OpSettings = field(default_factory=OpSettings)
    airbyte_key: str = AIRBYTE_KEY
    warehouse_key: str = WAREHOUSE_KEY
    defs_state: DefsStateConfigArgs | None = None

    _attributes: ClassVar[type[Declaration]] = WorkspaceAttributes

    @classmethod
    def _of(cls, context: dg.ResolutionContext, written: Mapping[str, Any]) -> Self:
        attributes = WorkspaceAttributes(**_rendered(context, written))
        own = {name: getattr(attributes, name) for name in attributes.model_fields_set}
        own["airbyte"] = attributes.airbyte
        own["airbyte_key"] = attributes.airbyte_key or (
            own_key(attributes.name, "airbyte") if written.get("airbyte") else AIRBYTE_KEY
        )
        own["warehouse_key"] = attributes.warehouse_key or own_key(attributes.name, "warehouse")
        if attributes.translation is not None:
            own["translation"] = _translation(TranslatorResolvingInfo(attributes.translation, context, "translation"))
        return cls(**own)

    @property
    def defs_state_config(self) -> DefsStateConfig:
        """What Dagster keeps the state by."""
        args = self.defs_state or DefsStateConfigArgs.local_filesystem()
        return DefsStateConfig.from_args(args, default_key=f"AirbyteWorkspaceComponent[{self.name}]")

    def write_state_to_path(self, state_path: Path) -> None:
        """Read the workspace from Airbyte, with list calls alone unless columns are wanted, and store it."""
        snapshot = read_workspace(self.airbyte)
        if self.column_schemas:
            snapshot = with_columns(self.airbyte.client(), snapshot, self.connection_selector or ConnectionSelector())
        write_file(state_path, snapshot.to_json())

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the definitions: from what is stored, if ``dg dev`` reads the workspace and Airbyte is down."""
        config = self.defs_state_config
        try:
            return super().build_defs(context)
        except AirbyteDagsterError as error:
            if config.management_type is DefsStateManagementType.LEGACY_CODE_SERVER_SNAPSHOTS:
                raise
            loading = DefinitionsLoadContext.get()
            with loading.state_path(config, DefsStateStorage.get(), context.project_root) as state_path:
                if state_path is None:
                    raise
                _LOG.warning("The workspace is taken as it is stored: %s", error)
                return self.build_defs_from_state(context, state_path)

    def build_defs_from_state(
        self,
        context: dg.ComponentLoadContext,  # noqa: ARG002 - Dagster's signature
        state_path: Path | None,
    ) -> dg.Definitions:
        """Build all that `build_workspace_defs` does."""
        text = read_file(state_path) if state_path else None
        if text is None:
            _LOG.warning(
                "Nothing is stored of the workspace %r, so it has no assets. Run: dg utils refresh-defs-state.",
                self.name,
            )
            return dg.Definitions()
        snapshot = WorkspaceSnapshot.from_json(text)
        check_is_of(snapshot, self.airbyte, str(state_path))
        options = WorkspaceOptions(
            shared(self.airbyte),
            connection_selector=self.connection_selector,
            translator=_ComponentTranslator(self),
            warehouse=shared(self.warehouse),
            checks=self.checks,
            name=self.name,
            max_concurrent_syncs=self.max_concurrent_syncs,
            wait=self.wait,
            sync_sensor=self.sync_sensor,
            poll_interval_seconds=self.poll_interval_seconds,
            one_op_per_connection=self.one_op_per_connection,
            pool=self.pool,
            op=self.op,
            execute=self.execute,
            airbyte_key=self.airbyte_key,
            warehouse_key=self.warehouse_key,
        )
        return workspace_defs(snapshot, options)

    def execute(self, context: dg.AssetExecutionContext, results: Iterator[Any]) -> Iterator[Any]:  # noqa: ARG002 - for subclasses
        """Yield the results of the syncs and checks as they come; a subclass may do something around it."""
        yield from results

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        """Return how Dagster shows a stream: as the translator says, with the changes of the translation."""
        spec = (self.translator or AirbyteTranslator()).get_asset_spec(props)
        return self.translation(spec, props) if self.translation else spec


class _ComponentTranslator(AirbyteTranslator):
    """Asks the component."""

    def __init__(self, component: AirbyteWorkspaceComponent) -> None:
        self._component = component

    def get_asset_spec(self, props: AirbyteStreamProps) -> dg.AssetSpec:
        return self._component.get_asset_spec(props)


def _rendered(context: dg.ResolutionContext, written: Mapping[str, Any]) -> dict[str, Any]:
    """Render the templates: late in the settings of resources; those of the translation for each stream."""
    return {
        name: value
        if name == "translation"
        else rendered(context.at_path(name), value, late=name in ("airbyte", "warehouse"))
        for name, value in written.items()
    }


def _translation(info: TranslatorResolvingInfo) -> Translation:
    def translate(spec: dg.AssetSpec, props: AirbyteStreamProps) -> dg.AssetSpec:
        known = {
            "props": props,
            "connection": props.connection,
            "stream": props.stream,
            "source": props.source,
            "destination": props.destination,
            "spec": spec,
        }
        return info.get_asset_spec(spec, known)

    return translate
