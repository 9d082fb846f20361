"""Dagster: assets, partitions, the registry sensor, and the headless run. Only this package imports Dagster.

It reads what a run asks for, calls `update` and `analysis`, and reports the results. It decides and computes nothing.
"""

import gc
import warnings

# Objects that an import makes stay, and searching them for garbage takes a quarter of the time of importing Dagster.
_was_enabled = gc.isenabled()
gc.disable()
try:
    from dagster import BetaWarning, PreviewWarning
finally:
    if _was_enabled:
        gc.enable()

# Checks per partition and custom automation conditions are not declared stable yet. The tests cover how they are used
# here, so the warnings at every start would tell you nothing.
warnings.filterwarnings("ignore", category=BetaWarning)
warnings.filterwarnings("ignore", category=PreviewWarning)
