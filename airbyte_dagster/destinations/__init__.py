"""Where and how Airbyte's destinations write: database, schema, table and column names of each kind."""
