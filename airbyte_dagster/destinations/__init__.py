"""Where and how Airbyte's destinations write: the one place that knows it, for readers, checks, export and doctor.

- `kinds`: one entry for each ``destinationType``: default schema, names of tables, namespaces.
- `names`: what each makes of a name, and `sync_modes`, what each sync mode does to rows.
- `tables`: the places where the table of a stream may be, and streams of one connection that share a table.
- `databases`: the database that a destination's configuration means, and whether two are the same.

It imports only `errors` and `paths`, so that local Airbyte can ask it, too. A destination that `kinds` does not list is
unknown: no table, no database, no check that guesses.
"""
