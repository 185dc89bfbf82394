"""One sync inside a Dagster run: checkpoints, and the events that tell of it."""
