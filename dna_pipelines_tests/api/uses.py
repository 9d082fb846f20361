"""Uses of the API for the type checker: what each call gives. It is checked by mypy and never run."""

from pathlib import Path
from typing import assert_type

import numpy as np

import dna_pipelines as dna

a = dna.fingerprint("train/", limit=1000, progress=True)
b = dna.fingerprint([np.zeros((8, 8, 3), np.uint8)], like=a)
assert_type(a, dna.Fingerprint)
assert_type(a + b, dna.Fingerprint)
assert_type(a.n_images, int)
assert_type(a.quarantined, dna.Table)
assert_type(dna.emd(a, b), float)
assert_type(a.compare(b), dna.Distances)

result = dna.test(a, Path("val"), n_permutations=999)
assert_type(result, dna.TestResult)
assert_type(result.p_value, float | None)
assert_type(result.significant, bool | None)
assert_type(result.ci, tuple[float, float] | None)
assert_type(result.caveats, tuple[str, ...])

project = dna.open_project()
assert_type(dna.create_project("own", extractors=["builtin", {"name": "clip", "layers": ["a"]}]), dna.Project)
assert_type(project, dna.Project)
assert_type(dna.create_project("here").add("a", "images", tags={"team": "x"}), dna.AddResult)
assert_type(project.update("a", progress=True), dna.UpdateReport)
assert_type(project.update().ok, bool)
assert_type(project.forecast(), dna.ForecastResult)
assert_type(project.list(), dna.DatasetsResult)
assert_type(project.scan(), dna.ScanResult)
assert_type(project.status().problems, dict[str, str])

compared = project.compare("a", "a@-1", layers=["stage1"])
assert_type(compared, dna.Comparison)
assert_type(compared.emd, float)
assert_type(compared.fd, float | None)
assert_type(compared.layers, dna.Table)
assert_type(compared.test(progress=True), dna.TestResult)
assert_type(compared.explain(), dna.Explanation)
assert_type(compared.top_images(10), dna.ImagesResult)
assert_type(compared.top_images().save("sheet.png"), Path)

assert_type(project.matrix(test=True), dna.MatrixResult)
assert_type(project.map(n_clusters=3), dna.MapResult)
assert_type(project.images("a", "b"), dna.ImagesResult)
assert_type(project.image_groups("a", "b", "group"), dna.GroupsResult)
assert_type(project.image_fits("x.png", "a"), dna.FitsResult)
assert_type(project.duplicates("a", "b"), dna.DuplicatesResult)
assert_type(project.select("rain", datasets=["a"], respond_to=["weather=rain"]), dna.SelectionsResult)
assert_type(project.inspect("a"), dna.InspectResult)
assert_type(project.sql("FROM quarantine"), dna.SqlResult)
assert_type(project.history("a"), dna.HistoryResult)
assert_type(project.export("a", "a.json", kind="gaussian"), dna.ExportResult)

assert_type(project.extractors(), dna.ExtractorsResult)
assert_type(project.extractor("builtin").table, dna.Table)
assert_type(project.calibrate("builtin", on="a", progress=True), dna.RangesResult)
assert_type(project.import_ranges("builtin", "ranges.json", dry_run=True).replaces, bool)
assert_type(project.export_ranges("builtin", Path("ranges.json")), dna.RangesResult)
assert_type(project.doctor(pages=True).problems, dict[str, str])
assert_type(project.prune(keep=2, dry_run=True), dna.PruneResult)

project.export("a", "a.json", kind="nonsense")  # type: ignore[arg-type]
project.compare("a")  # type: ignore[call-arg]

error = dna.UnknownName("no", code="name.dataset", name="a")
assert_type(error.code, str)
assert_type(dna.Preprocessing(224), dna.Preprocessing)
