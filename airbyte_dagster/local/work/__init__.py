"""What the worker is made of: the half of the engine that runs beside PyAirbyte, in its environment.

`worker.py` loads these modules without the packages above them, so they import the standard library, ``airbyte`` and
each other only, in this order: reporting → state, source → careful, postgres → warehouses → groups.
"""
