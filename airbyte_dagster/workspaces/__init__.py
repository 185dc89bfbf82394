"""Connections that exist already in Airbyte, as Dagster assets.

Its modules build on each other in this order: `snapshot`, `selector`, `translator`, then the others.
"""
