"""Measurements behind the figures of the README: ``python -m benchmarks``."""
