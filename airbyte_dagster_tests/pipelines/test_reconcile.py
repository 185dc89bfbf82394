"""Plan and apply against local Airbyte over HTTP, in both shapes that servers answer in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from airbyte_dagster import AirbytePipeline, Destination, Source, Stream
from airbyte_dagster.airbyte.records import SECRET_MASK, Actor, Workspace
from airbyte_dagster.errors import AmbiguousName, ConfigurationError, InvalidConfiguration, OutcomeUnknown, SpecError
from airbyte_dagster.pipelines.apply import ReconciledPipeline, Reconciler
from airbyte_dagster.pipelines.last_applied import InMemoryAppliedStore, LastAppliedConfiguration
from airbyte_dagster.pipelines.plan import check_same_connector
from airbyte_dagster_tests.conftest import RecordingTransport, client_of, pipeline_of
from airbyte_dagster_tests.local.fakes import RunningAirbyte


class Subject:
    """A reconciler of a server, and what it does."""

    def __init__(self, server: RunningAirbyte, transport: RecordingTransport) -> None:
        self.server = server
        self.transport = transport
        self.lines: list[str] = []
        self.applied = InMemoryAppliedStore()
        self.client = client_of(server, transport)
        self.workspace: Workspace = self.client.find_workspace()
        self.reconciler = Reconciler(
            self.client, self.applied, key="a key", log=self.lines.append, sleep=lambda _seconds: None
        )

    def apply(self, pipeline: AirbytePipeline) -> tuple[ReconciledPipeline, list[tuple[str, str]]]:
        """Reconcile; return what came of it and the writes that it took."""
        before = len(self.transport.writes)
        reconciled = self.reconciler.reconcile(pipeline, self.workspace)
        return reconciled, self.transport.writes[before:]

    def last_body(self) -> Any:
        """The body of the last write."""
        index = max(i for i, call in enumerate(self.transport.sent) if call[0] != "GET")
        return json.loads(self.transport.bodies[index])


@pytest.fixture
def subject(both_shapes: RunningAirbyte, transport: RecordingTransport) -> Iterator[Subject]:
    made = Subject(both_shapes, transport)
    yield made
    made.client.close()


def with_source(server: RunningAirbyte, **configuration: Any) -> AirbytePipeline:
    return pipeline_of(server, source=configuration)


def test_creates_all_then_nothing(subject: Subject) -> None:
    """Source and destination before the connection; a second run: same ids, no writes, three reads."""
    pipeline = pipeline_of(subject.server)

    first, writes = subject.apply(pipeline)
    assert sorted(writes[:2]) == [("POST", "/destinations"), ("POST", "/sources")]
    assert writes[2:] == [("POST", "/connections")]
    assert {first.source.outcome, first.destination.outcome, first.connection.outcome} == {"created"}

    reads = len(subject.transport.sent)
    second, writes = subject.apply(pipeline)
    assert writes == []
    assert len(subject.transport.sent) - reads == 3
    assert (second.source.id, second.destination.id, second.connection.id) == (
        first.source.id,
        first.destination.id,
        first.connection.id,
    )
    assert subject.reconciler.plan(pipeline, subject.workspace).empty


def test_changed_value_is_a_patch_of_that_value(subject: Subject) -> None:
    """In place, with nothing but what changed, and named by its dotted path."""
    first, _ = subject.apply(with_source(subject.server, seed=1))

    second, writes = subject.apply(with_source(subject.server, seed=2))

    assert writes == [("PATCH", f"/sources/{first.source.id}")]
    assert subject.last_body()["configuration"]["seed"] == 2
    assert "count" not in subject.last_body()["configuration"]
    assert (second.source.outcome, second.source.changes) == ("updated", ("seed",))
    assert f"Source 'faker source' updated ({first.source.id}): seed" in subject.lines


def test_removed_key_is_taken_out(subject: Subject) -> None:
    """A PATCH can't do that, so what is left is PUT."""
    subject.apply(with_source(subject.server, seed=1))

    second, writes = subject.apply(with_source(subject.server))

    assert writes == [("PUT", f"/sources/{second.source.id}")]
    assert "seed" not in subject.client.actors("source", subject.workspace.id)[0].configuration
    assert subject.apply(with_source(subject.server))[1] == []


def test_secret_is_sent_once_and_again_only_when_it_changes(subject: Subject) -> None:
    """Airbyte shows its mask; the digest of what was sent tells whether there is anything to do."""
    assert subject.apply(with_source(subject.server, api_key="first"))[0].source.outcome == "created"
    assert subject.apply(with_source(subject.server, api_key="first"))[1] == []

    changed, writes = subject.apply(with_source(subject.server, api_key="second"))

    assert writes == [("PATCH", f"/sources/{changed.source.id}")]
    assert changed.source.changes == ("api_key",)
    assert subject.apply(with_source(subject.server, api_key="second"))[1] == []


def test_secret_of_unknown_age_is_sent_once(subject: Subject) -> None:
    """Nothing was recorded (another machine, the UI): one update, then none."""
    subject.apply(with_source(subject.server, api_key="first"))
    subject.applied.clear()

    assert len(subject.apply(with_source(subject.server, api_key="first"))[1]) == 1
    assert subject.apply(with_source(subject.server, api_key="first"))[1] == []


def test_airbytes_mask_is_no_secret_to_create_something_with(subject: Subject) -> None:
    """A configuration copied from Airbyte has the mask; nothing is created, and the message names where it is."""
    declared = with_source(subject.server, credentials={"api_key": SECRET_MASK})

    with pytest.raises(ConfigurationError, match=r"would be sent with credentials\.api_key, .* environment variable"):
        subject.apply(declared)

    assert subject.transport.writes == []


def test_airbytes_mask_keeps_the_secret_that_airbyte_has(subject: Subject) -> None:
    """Where one is stored at the same place, other values change and that one stays; elsewhere it is refused."""
    subject.apply(with_source(subject.server, api_key="first"))

    changed, _ = subject.apply(with_source(subject.server, api_key=SECRET_MASK, seed=7))

    actor = subject.server.store.actor("source", changed.source.id)
    assert (actor.configuration["api_key"], actor.configuration["seed"]) == ("first", 7)
    with pytest.raises(ConfigurationError, match="would be sent with token"):
        subject.apply(with_source(subject.server, api_key="first", seed=7, token=SECRET_MASK))


def test_a_recorded_secret_is_not_sent_with_another_change(subject: Subject) -> None:
    """Its digest shows that it is the same; only what changed is in the PATCH."""
    subject.apply(with_source(subject.server, api_key="first", seed=1))
    subject.apply(with_source(subject.server, api_key="first", seed=2))

    assert "api_key" not in subject.last_body()["configuration"]


def test_records_of_what_was_sent_hold_no_secret(subject: Subject) -> None:
    """What is stored can't give a secret away, and depends on the key."""
    subject.apply(with_source(subject.server, api_key="PLANTED"))

    (record,) = [applied for applied in subject.applied.values() if ("api_key",) in applied.paths]

    assert "PLANTED" not in record.to_json()
    assert record.has_same_secrets({("api_key",): "PLANTED"}, key="a key")
    assert not record.has_same_secrets({("api_key",): "PLANTED"}, key="another key")


def test_records_of_equal_secrets_are_not_equal() -> None:
    """Each has a salt of its own: who reads the records can't see that two secrets are one."""
    first, second = (
        LastAppliedConfiguration.of({("api_key",): "same"}, (("api_key",),), key="a key") for _ in range(2)
    )

    assert first.salt != second.salt
    assert first.digest != second.digest


def test_edit_made_in_airbyte_is_set_back_and_named(subject: Subject) -> None:
    """Drift of a value that is no secret is found by its path."""
    first, _ = subject.apply(with_source(subject.server, seed=1))
    subject.client.patch_actor("source", first.source.id, configuration={"sourceType": "faker", "seed": 99})

    second, _ = subject.apply(with_source(subject.server, seed=1))

    assert second.source.changes == ("seed",)


def test_order_of_streams_is_no_difference(subject: Subject) -> None:
    """Neither in the declaration nor in what Airbyte shows."""
    subject.apply(pipeline_of(subject.server, streams=("users", "products")))

    assert subject.apply(pipeline_of(subject.server, streams=("products", "users")))[1] == []


def test_added_stream_leaves_the_others_as_they_are(subject: Subject) -> None:
    """Field selection that somebody made in Airbyte survives the replacement of the set."""
    first, _ = subject.apply(pipeline_of(subject.server, streams=("users",)))
    chosen = {"name": "users", "syncMode": "full_refresh_overwrite", "selectedFields": [{"fieldPath": ["id"]}]}
    subject.client.patch_connection(first.connection.id, {"configurations": {"streams": [chosen]}})

    second, writes = subject.apply(pipeline_of(subject.server, streams=("users", "products")))

    assert writes == [("PATCH", f"/connections/{first.connection.id}")]
    assert second.connection.changes == ("streams.products added",)
    streams = {stream.name: stream for stream in subject.client.connection(first.connection.id).streams}
    assert streams["users"].selected_fields == ("id",)
    assert set(streams) == {"users", "products"}


def test_what_is_there_stays_where_only_the_missing_is_created(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No value of it is compared, no secret of it is needed; source, destination and connection are found by name."""
    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    first, _ = subject.apply(with_source(subject.server, seed=1))
    other = with_source(subject.server, seed=2, api_key=dg.EnvVar("NOT_SET_HERE"))

    writes = len(subject.transport.writes)
    found = subject.reconciler.find_or_create(other, subject.workspace)
    assert (found.connection.id, found.connection.outcome) == (first.connection.id, "unchanged")
    assert len(subject.transport.writes) == writes

    second = other.connection.model_copy(update={"name": "second"})
    created = subject.reconciler.find_or_create(other.model_copy(update={"connection": second}), subject.workspace)
    assert created.connection.outcome == "created"
    assert created.connection_record.source_id == first.source.id
    assert subject.transport.writes[writes:] == [("POST", "/connections")]


def test_only_what_is_missing_needs_its_secrets(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty workspace all is created as declared, and the variable that is not set is named."""
    assert subject.reconciler.find(pipeline_of(subject.server), subject.workspace) is None
    created = subject.reconciler.find_or_create(pipeline_of(subject.server), subject.workspace)
    assert created.connection.outcome == "created"

    monkeypatch.delenv("NOT_SET_HERE", raising=False)
    missing = with_source(subject.server, api_key=dg.EnvVar("NOT_SET_HERE"))
    source = missing.source.model_copy(update={"name": "new"})
    connection = missing.connection.model_copy(update={"name": "new"})
    with pytest.raises(ConfigurationError, match="NOT_SET_HERE"):
        subject.reconciler.find_or_create(
            missing.model_copy(update={"source": source, "connection": connection}), subject.workspace
        )


def test_only_declared_keys_and_cursors_are_sent_and_those_set_by_hand(subject: Subject) -> None:
    """Airbyte shows keys that the source defines as if they were set, and some servers refuse to have them back.

    Those that somebody has set in Airbyte would be lost, and are sent.
    """
    rows = [{"id": 1, "region": "eu", "updated_at": "2026-01-01"}]
    subject.server.engine.add("defined", {"users": rows, "products": rows})
    subject.server.engine.add("open", {"users": rows, "products": rows}, primary_key=None)
    mode = "incremental_deduped_history"

    def change(kind: str, key: tuple[str, ...]) -> dict[str, Any]:
        pipeline = pipeline_of(subject.server, streams=(Stream(name="users", sync_mode=mode, primary_key=key),))
        source = pipeline.source.model_copy(update={"name": kind, "configuration": {"sourceType": kind}})
        connection = pipeline.connection.model_copy(update={"name": kind})
        pipeline = pipeline.model_copy(update={"source": source, "connection": connection})
        subject.apply(pipeline)
        streams = (Stream(name="users", sync_mode=mode), "products")
        with_more = pipeline_of(subject.server, streams=streams).connection.model_copy(update={"name": kind})
        subject.apply(pipeline.model_copy(update={"connection": with_more}))
        users: dict[str, Any] = subject.last_body()["configurations"]["streams"][0]
        return users

    assert not {"primaryKey", "cursorField"} & change("defined", ()).keys()
    by_hand = change("open", ("id", "region"))
    assert by_hand["primaryKey"] == [["id"], ["region"]]
    assert "cursorField" not in by_hand


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"prefix": "raw_"}, ("prefix",)),
        ({"namespace_definition": "source"}, ("namespaceDefinition",)),
        ({"schedule": "0 0 6 * * ?"}, ("schedule",)),
        ({"streams": (Stream(name="users", sync_mode="full_refresh_append"), "products")}, ("streams.users.syncMode",)),
        ({"streams": ("users",)}, ("streams.products removed",)),
    ],
)
def test_changed_connection_is_patched_once(
    subject: Subject, settings: dict[str, Any], changes: tuple[str, ...]
) -> None:
    """Each setting of a connection: one PATCH, in place, then nothing."""
    first, _ = subject.apply(pipeline_of(subject.server))

    second, writes = subject.apply(pipeline_of(subject.server, **settings))

    assert writes == [("PATCH", f"/connections/{first.connection.id}")]
    assert second.connection.changes == changes
    assert subject.apply(pipeline_of(subject.server, **settings))[1] == []


def test_inactive_connection_is_activated(subject: Subject) -> None:
    """An inactive one would refuse the sync."""
    first, _ = subject.apply(pipeline_of(subject.server))
    subject.client.patch_connection(first.connection.id, {"status": "inactive"})

    assert subject.apply(pipeline_of(subject.server))[0].connection.changes == ("status",)
    assert subject.client.connection(first.connection.id).status == "active"


def test_no_streams_named_is_all_that_the_source_has(subject: Subject) -> None:
    """They are asked for and named to Airbyte, since a real server may pick none; later they are left alone."""
    reconciled, _ = subject.apply(pipeline_of(subject.server, streams=None))

    assert {stream.name for stream in reconciled.connection_record.streams} == {"users", "products", "purchases"}
    assert subject.apply(pipeline_of(subject.server, streams=None))[1] == []


@pytest.mark.parametrize("kind", ["source", "destination", "connection"])
def test_two_of_one_name_change_nothing(subject: Subject, kind: str) -> None:
    """Both ids are in the message, and neither is anything created."""
    first, _ = subject.apply(pipeline_of(subject.server))
    if kind == "connection":
        record = first.connection_record
        twin = subject.client.create_connection(
            {
                "name": record.name,
                "sourceId": record.source_id,
                "destinationId": record.destination_id,
                "configurations": {"streams": [{"name": "users"}]},
            }
        ).id
    else:
        declared = getattr(pipeline_of(subject.server), kind)
        twin = subject.client.create_actor(
            kind,  # type: ignore[arg-type]
            workspace_id=subject.workspace.id,
            name=declared.name,
            configuration=declared.configuration,
        ).id

    writes = len(subject.transport.writes)
    with pytest.raises(AmbiguousName) as caught:
        subject.apply(pipeline_of(subject.server, source={"seed": 5}, prefix="changed_"))

    assert twin in str(caught.value)
    assert getattr(first, kind).id in str(caught.value)
    assert len(subject.transport.writes) == writes


def test_refused_configuration_is_told_and_mended_by_a_rerun(subject: Subject) -> None:
    """Airbyte's 422 with the field; no source is made; after the fix the same call goes through."""
    with pytest.raises(InvalidConfiguration, match="count"):
        subject.apply(with_source(subject.server, count="many"))

    assert subject.client.actors("source", subject.workspace.id) == []
    assert subject.apply(with_source(subject.server))[0].source.outcome == "created"
    assert len(subject.client.actors("source", subject.workspace.id)) == 1
    assert len(subject.client.actors("destination", subject.workspace.id)) == 1


def test_unknown_stream_makes_no_connection(subject: Subject) -> None:
    """Its path, the accepted names and the nearest one are in the message."""
    with pytest.raises(SpecError) as caught:
        subject.apply(pipeline_of(subject.server, streams=("users", "product")))

    assert "connection.streams.1.name: the source has no stream 'product'" in str(caught.value)
    assert "did you mean 'products'?" in str(caught.value)
    assert subject.client.connections(subject.workspace.id) == []


def test_unknown_field_and_mode_make_no_connection(subject: Subject) -> None:
    """All of it is checked against what the source offers, before the connection is made."""
    streams = (
        Stream(name="users", selected_fields=("id", "nmae")),
        Stream(name="products", sync_mode="full_refresh_update"),
    )

    with pytest.raises(SpecError) as caught:
        subject.apply(pipeline_of(subject.server, streams=streams))

    assert "selected_fields: 'users' has no nmae; accepted: id, name, updated_at" in str(caught.value)
    assert "sync_mode: 'products' has no 'full_refresh_update'" in str(caught.value)


@pytest.mark.parametrize("path", ["/sources", "/destinations", "/connections"])
def test_lost_answer_of_a_create_is_found_by_name(subject: Subject, path: str) -> None:
    """It was made, only the answer got lost: it is taken, not made twice."""
    subject.transport.lose.append(("POST", path))

    reconciled, writes = subject.apply(pipeline_of(subject.server))

    assert writes.count(("POST", path)) == 1
    assert len(subject.client.actors("source", subject.workspace.id)) == 1
    assert len(subject.client.connections(subject.workspace.id)) == 1
    assert reconciled.connection.id == subject.client.connections(subject.workspace.id)[0].id


def test_create_that_never_turns_up_says_that_a_rerun_is_safe(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known, so nothing is claimed; the create is not repeated blindly."""
    subject.transport.lose.append(("POST", "/sources"))
    monkeypatch.setattr(subject.client, "actors", lambda *_: [])

    with pytest.raises(OutcomeUnknown, match="Run again"):
        subject.apply(pipeline_of(subject.server))

    assert subject.transport.writes.count(("POST", "/sources")) == 1


def test_other_connector_of_the_same_name_is_an_error(subject: Subject) -> None:
    """A source can't change its connector."""
    subject.server.engine.add("other", {"users": [{"id": 1}]})
    subject.client.create_actor(
        "source",
        workspace_id=subject.workspace.id,
        name="faker source",
        configuration={"sourceType": "other"},
    )

    with pytest.raises(ConfigurationError, match="is a other in Airbyte, but the pipeline declares faker"):
        subject.apply(pipeline_of(subject.server))


@pytest.mark.parametrize(
    ("declared", "existing", "is_same"),
    [
        ({"definition_id": "one"}, ("", "one"), True),
        ({"definition_id": "one"}, ("", "two"), False),
        ({"definition_id": "one"}, ("custom", None), True),  # a server that shows no ids
        ({"type": "faker"}, ("faker", "two"), True),
        ({"type": "faker"}, ("other", "two"), False),
        ({"type": "custom", "definition_id": "one"}, ("custom", "two"), False),
    ],
)
def test_the_definition_is_what_tells_connectors_apart(
    declared: dict[str, str], existing: tuple[str, str | None], *, is_same: bool
) -> None:
    """Two custom connectors have one type; where either side has no id, the types are compared."""
    actor = Actor("id", "shop", "workspace", *existing, configuration={})
    configuration = {"sourceType": declared["type"]} if "type" in declared else {"count": 1}
    source = Source(name="shop", configuration=configuration, definition_id=declared.get("definition_id"))

    with contextlib.nullcontext() if is_same else pytest.raises(ConfigurationError, match="but the pipeline declares"):
        check_same_connector("source", source, actor)


def test_connection_that_joins_others_is_an_error(subject: Subject) -> None:
    """Source and destination of a connection can't be changed; both pairs of ids are in the message."""
    pipeline = pipeline_of(subject.server)
    first, _ = subject.apply(pipeline)
    renamed = pipeline.model_copy(update={"source": pipeline.source.model_copy(update={"name": "another"})})

    ids = rf"joins source {first.source.id} and .*, not the declared ones \(new, {first.destination.id}\)"
    with pytest.raises(ConfigurationError, match=ids):
        subject.apply(renamed)


def test_sdk_models_and_mappings_are_the_same_pipeline(subject: Subject) -> None:
    """Changing from a mapping to a model with the same values is no change of those values."""
    from airbyte_api.models import DestinationDuckdb  # noqa: PLC0415

    pipeline = pipeline_of(subject.server)
    subject.apply(pipeline)
    typed = pipeline.model_copy(
        update={
            "destination": Destination(
                name="duck", configuration=DestinationDuckdb(destination_path=str(subject.server.home.warehouse))
            )
        }
    )

    assert subject.apply(typed)[1] == []
