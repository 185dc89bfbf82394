"""The worker: one process per job, which reads a connector into a warehouse with DuckDB.

    source (the connector's lines) → messages (what each line is) → staging (typed, in a DuckDB file of the job's own)
        → targets, postgres (the destination, one transaction per commit)

`sync` puts these together, `states` says what the connector is given and what is kept of it, `reporting` what the
server is told. The server starts it with ``python -m airbyte_dagster.local.work``.
"""
