"""Tests of what people see: Dagster's real UI in a real browser."""
