"""Tests; a file per module, `e2e` in the name of those that run the real thing."""
