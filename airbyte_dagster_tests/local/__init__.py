"""Tests of local Airbyte."""
