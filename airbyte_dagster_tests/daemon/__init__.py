"""Schedules, sensors and automation conditions under Dagster's real daemon and code server, each in a process."""
