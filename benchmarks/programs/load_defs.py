"""Load the ``defs`` of a module of this folder, and have Dagster validate them: seconds, without imports of packages.

Its arguments are the module's name, and the package that it uses, if any, which is imported before. Dagster's home is
there before that, as it is wherever a code location is loaded.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time

import dagster as dg

from benchmarks.programs.saying import say

module, *packages = sys.argv[1:]
with dg.DagsterInstance.get() as instance:
    _ = instance.run_storage, instance.event_log_storage
began = time.perf_counter()
for package in packages:
    importlib.import_module(package)
imported = time.perf_counter()
definitions: dg.Definitions = importlib.import_module(module).defs
dg.Definitions.validate_loadable(definitions)
loaded = time.perf_counter()
# Before the assets are counted, which takes more.
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
assets = len(definitions.resolve_asset_graph().get_all_asset_keys())
say({"import_seconds": imported - began, "seconds": loaded - imported, "peak_mb": peak, "assets": assets})
