"""Start, watch and cancel any number of Airbyte's jobs. Knows nothing of Dagster."""
