"""Dagster: assets, partitions, the registry sensor, and the headless run. Only this room knows Dagster.

Belongs here: reading what is asked for, calling the pipeline, reporting what came of it. Does not:
deciding or computing anything.
"""

import gc
import warnings

# What an import makes stays, and looking for garbage in it would be a quarter of the time that Dagster takes.
_was_enabled = gc.isenabled()
gc.disable()
try:
    from dagster import BetaWarning, PreviewWarning
finally:
    if _was_enabled:
        gc.enable()

# Checks per partition and conditions of our own are not declared stable yet. They are used knowingly (the
# tests hold what they do), so nobody needs to be told at every start.
warnings.filterwarnings("ignore", category=BetaWarning)
warnings.filterwarnings("ignore", category=PreviewWarning)
