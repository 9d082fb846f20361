"""Imports inside functions: each one is listed with what it keeps from being loaded before it is needed.

An import that is moved into a function to break a circle does not belong here: the modules have to be cut differently.
"""

import ast
from pathlib import Path

import dna_pipelines

ROOT = Path(dna_pipelines.__file__).parent

TORCH = "loads torch, which takes seconds"
DAGSTER = "loads Dagster, which takes seconds"
MATPLOTLIB = "loads matplotlib, which is needed for pictures only"
NUMBA = "loads numba's kernels"
TRITON = "there is no triton without a GPU"
EXTRA = "an optional extra, or what needs one"
LIGHT = "keeps `import dna_pipelines` light: a call loads what it needs"
START = "keeps the start of `dna` short: a command loads what it needs"

ALLOWED = {
    "analysis/images/attribution.py": {
        "dna_pipelines.update.calibration": TORCH,
        "dna_pipelines.update.remeasure": TORCH,
    },
    "analysis/images/featureless.py": {
        "dna_pipelines.update.calibration": TORCH,
        "dna_pipelines.update.remeasure": TORCH,
    },
    "analysis/images/scores.py": {"dna_pipelines.update.calibration": TORCH, "dna_pipelines.update.remeasure": TORCH},
    "api/results/comparison.py": {
        "dna_pipelines.reporting.pictures": MATPLOTLIB,
    },
    "api/results/images.py": {
        "dna_pipelines.analysis.images.contact_sheets": MATPLOTLIB,
    },
    "api/in_memory/fingerprints.py": {
        "dna_pipelines.extraction.extractor": TORCH,
    },
    "api/in_memory/measuring.py": {
        "dna_pipelines.extraction.calibration": TORCH,
        "dna_pipelines.extraction.loading.registry": TORCH,
        "dna_pipelines.extraction.partials": TORCH,
        "dna_pipelines.extraction.probing.probe": TORCH,
    },
    "api/results/overview.py": {
        "dna_pipelines.reporting.map": MATPLOTLIB,
        "dna_pipelines.reporting.pictures": MATPLOTLIB,
    },
    "api/progress.py": {
        "IPython.display": EXTRA,
        "dna_pipelines.api.terminal_progress": LIGHT,
    },
    "api/project/comparisons.py": {
        "dna_pipelines.analysis.compare": LIGHT,
        "dna_pipelines.analysis.images.attribution_by_group": LIGHT,
        "dna_pipelines.analysis.images.duplicates": LIGHT,
        "dna_pipelines.analysis.images.scores": LIGHT,
        "dna_pipelines.analysis.map": LIGHT,
        "dna_pipelines.analysis.matrix": LIGHT,
        "dna_pipelines.analysis.selections.stored": LIGHT,
        "dna_pipelines.analysis.significance.all_pairs": LIGHT,
        "dna_pipelines.analysis.significance.pair": LIGHT,
        "dna_pipelines.api.results.comparison": LIGHT,
        "dna_pipelines.api.results.images": LIGHT,
        "dna_pipelines.api.results.overview": LIGHT,
        "dna_pipelines.api.results.tables": LIGHT,
        "dna_pipelines.comparison": LIGHT,
    },
    "api/project/datasets.py": {
        "dna_pipelines.api.inputs.adding": LIGHT,
        "dna_pipelines.api.results.dataset_rows": LIGHT,
        "dna_pipelines.api.results.datasets": LIGHT,
        "dna_pipelines.api.results.updates": LIGHT,
        "dna_pipelines.orchestration.headless": DAGSTER,
        "dna_pipelines.update.forecast": LIGHT,
        "dna_pipelines.update.plan": LIGHT,
        "dna_pipelines.update.report": LIGHT,
    },
    "api/project/extractors.py": {
        "dna_pipelines.api.results.extractors": LIGHT,
        "dna_pipelines.interchange": LIGHT,
        "dna_pipelines.maintenance.export": LIGHT,
        "dna_pipelines.orchestration.headless": DAGSTER,
        "dna_pipelines.update.networks": LIGHT,
    },
    "api/project/maintenance.py": {
        "dna_pipelines.api.results.maintenance": LIGHT,
        "dna_pipelines.maintenance.doctor": LIGHT,
        "dna_pipelines.maintenance.prune": LIGHT,
    },
    "api/project/inspection.py": {
        "dna_pipelines.analysis.inspect": LIGHT,
        "dna_pipelines.analysis.selections.goal": LIGHT,
        "dna_pipelines.analysis.selections.learned": LIGHT,
        "dna_pipelines.analysis.selections.stored": LIGHT,
        "dna_pipelines.api.results.answers": LIGHT,
        "dna_pipelines.api.results.tables": LIGHT,
        "dna_pipelines.maintenance.export": LIGHT,
    },
    "api/results/tables.py": {
        "pandas": EXTRA,
        "pyarrow": LIGHT,
    },
    "cli/app.py": {"dna_pipelines.api.project.project": START},
    "cli/metrics.py": {"dna_pipelines.comparison.metrics": START},
    "cli/options.py": {"dna_pipelines.comparison.metrics": START, "dna_pipelines.project.project": START},
    "cli/profile.py": {"dna_pipelines.maintenance.profile": TORCH},
    "cli/run.py": {"dna_pipelines.api.project.extractors": START},
    "cli/tools.py": {
        "dna_pipelines.orchestration.instance": DAGSTER,
        "dna_pipelines.orchestration.replay": DAGSTER,
        "dna_pipelines.orchestration.service": DAGSTER,
    },
    "comparison/barycentre.py": {"dna_pipelines.comparison.kernels": NUMBA},
    "comparison/codes.py": {"dna_pipelines.comparison.kernels": NUMBA},
    "comparison/cumulative.py": {"dna_pipelines.comparison.kernels": NUMBA},
    "comparison/permutation.py": {"dna_pipelines.comparison.permutation_kernels": NUMBA},
    "distributions/fold.py": {
        "dna_pipelines.distributions": NUMBA,
        "dna_pipelines.distributions.fold_kernels": NUMBA,
    },
    "extraction/devices/device_fold.py": {"dna_pipelines.extraction.devices.device_kernel": TRITON},
    "extraction/files/hub.py": {"huggingface_hub": EXTRA},
    "extraction/loading/timm_network.py": {"timm": EXTRA},
    "extraction/loading/transformers_network.py": {"transformers": EXTRA, "transformers.utils": EXTRA},
    "imaging/rare_tiff.py": {"tifffile": EXTRA},
    "imaging/samples.py": {"imagecodecs": EXTRA},
    "maintenance/doctor.py": {
        "dna_pipelines.extraction.devices.devices": TORCH,
        "dna_pipelines.update.calibration": TORCH,
        "dna_pipelines.update.extractors": TORCH,
    },
    "orchestration/assets/fingerprints.py": {
        "dna_pipelines.update.calibration": TORCH,
        "dna_pipelines.update.fingerprint": TORCH,
    },
    "orchestration/describe.py": {"dna_pipelines.reporting.pictures": MATPLOTLIB},
    "sources/remote.py": {"dna_pipelines.sources.web": EXTRA},
    "update/forecast.py": {"dna_pipelines.update.calibration": TORCH},
    "update/networks.py": {
        "dna_pipelines.extraction.probing.probe": TORCH,
        "dna_pipelines.extraction.loading.registry": TORCH,
        "dna_pipelines.extraction.views.view_layers": TORCH,
    },
    "update/slices.py": {"dna_pipelines.update.calibration": TORCH, "dna_pipelines.update.measure": TORCH},
}


def lazy_imports():
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        inside = (
            node
            for one in ast.walk(ast.parse(path.read_text()))
            if isinstance(one, functions)
            for node in ast.walk(one)
        )
        names = set()
        for node in inside:
            if isinstance(node, ast.ImportFrom):
                names.add("." * node.level + (node.module or ""))
            elif isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
        if names:
            found[path.relative_to(ROOT).as_posix()] = names
    return found


def test_every_import_inside_a_function_is_listed_with_its_reason():
    """Where this fails: import at the top of the module, or list the import above with the reason it has."""
    found = lazy_imports()
    allowed = {file: set(modules) for file, modules in ALLOWED.items()}
    new = {file: sorted(some) for file in found if (some := found[file] - allowed.get(file, set()))}
    vanished = {file: sorted(some) for file in allowed if (some := allowed[file] - found.get(file, set()))}
    assert (new, vanished) == ({}, {})
