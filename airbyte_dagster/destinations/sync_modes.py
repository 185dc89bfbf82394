"""What Airbyte's sync modes do to the rows of a table; the same in every destination that `kinds` lists."""

from __future__ import annotations

from typing import NamedTuple


class RowEffect(NamedTuple):
    """What a sync does to a table.

    Attributes:
        keeps: Whether rows of earlier syncs stay.
        dedupes: Whether there is one row for each primary key after it. A key with a null in it is no key: its rows
            are not merged (airbytehq/airbyte issues 31926 and 81634).
    """

    keeps: bool
    dedupes: bool


#: Airbyte's names of the sync modes (``ConnectionSyncModeEnum`` of its public API).
SYNC_MODES = {
    "full_refresh_overwrite": RowEffect(keeps=False, dedupes=False),
    "full_refresh_overwrite_deduped": RowEffect(keeps=False, dedupes=True),
    "full_refresh_append": RowEffect(keeps=True, dedupes=False),
    "incremental_append": RowEffect(keeps=True, dedupes=False),
    "incremental_deduped_history": RowEffect(keeps=True, dedupes=True),
}

#: A source that reads a database's log sets it in the record of a deleted row (``CDC_DELETED_AT`` of Airbyte's CDK).
CDC_DELETED_AT = "_ab_cdc_deleted_at"
