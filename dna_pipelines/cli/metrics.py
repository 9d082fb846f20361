"""The command about distances: metrics."""

from __future__ import annotations

from dna_pipelines.cli.app import COMPARE, app
from dna_pipelines.cli.options import Json
from dna_pipelines.cli.terminal import say, show_json


@app.command(rich_help_panel=COMPARE)
def metrics(json: Json = False) -> None:
    """List the distances: what each needs, what it detects, and what it cannot detect."""
    from dna_pipelines.comparison.metrics import METRICS, Metric

    if json:
        show_json([one.to_json() for one in METRICS])
        return

    def lines(one: Metric) -> list[str]:
        high = "no upper limit" if one.high is None else f"{one.high:.4g}"
        law = "a metric of distributions" if one.is_metric else "not a metric: the triangle inequality does not hold"
        kept = "stored for all pairs" if one.kept else "computed on request"
        return [
            one.formula,
            f"from {one.low:g} to {high}, unit: {one.unit}; {law}",
            f"needs: {one.takes}; {kept}; source: {one.source}",
            f"detects: {one.sees}",
            f"cannot detect: {one.blind_to}",
        ]

    for one in METRICS:
        say((one.name, "bold"), f": {one.title}")
        for line in lines(one):
            say(line, indent=2)
