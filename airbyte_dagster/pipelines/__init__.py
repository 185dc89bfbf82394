"""Declared pipelines: their spec, the plan that compares it with Airbyte, its application, their definitions."""
