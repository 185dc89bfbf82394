"""Airflow's provider for Airbyte: its hook and its operator, without Airflow itself running."""

from __future__ import annotations

from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator
from airflow.providers.common.compat.sdk import AirflowException
from speaking import CONNECTION_ID, ask, report

hook = AirbyteHook()
report(tested=list(hook.test_connection()))
submitted = hook.submit_sync_connection(CONNECTION_ID)
hook.wait_for_job(submitted.job_id, wait_seconds=0.1, timeout=60)
report(submitted=submitted.status.value, done=hook.get_job_details(submitted.job_id).rows_synced)
emptied = hook.submit_reset_connection(CONNECTION_ID)
hook.wait_for_job(emptied.job_id, wait_seconds=0.1, timeout=60)
report(reset=hook.get_job_status(emptied.job_id).value)

operator = AirbyteTriggerSyncOperator(task_id="sync", connection_id=CONNECTION_ID, wait_seconds=0.1, timeout=60)
report(operator=operator.execute({}))

ask("hold")
running = hook.submit_sync_connection(CONNECTION_ID)
report(cancelled=hook.cancel_job(running.job_id).status.value)
slow = AirbyteTriggerSyncOperator(task_id="slow", connection_id=CONNECTION_ID, wait_seconds=0.1, timeout=0.3)
try:
    slow.execute({})
except AirflowException as error:
    report(timeout=str(error), timed_out=hook.get_job_status(slow.job_id).value)
killed = AirbyteTriggerSyncOperator(task_id="killed", connection_id=CONNECTION_ID, asynchronous=True)
report(asynchronous=killed.execute({}))
killed.on_kill()
report(killed=hook.get_job_status(killed.job_id).value)
ask("release")
