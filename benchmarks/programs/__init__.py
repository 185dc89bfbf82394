"""Programs that `benchmarks.workspace` runs as processes; some of them in the neighbour's own environment.

They stand alone: beside Dagster they import only what they measure. Each says at its end
what it found: JSON, in a file.
"""
