"""Clients that no one here wrote, unmodified, against local Airbyte."""
