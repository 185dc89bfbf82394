"""What ``airbyte-dagster run`` and ``airbyte-dagster dev`` do."""
