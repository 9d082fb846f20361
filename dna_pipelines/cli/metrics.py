"""The command about distances: metrics."""

from __future__ import annotations

from rich.text import Text

from dna_pipelines.cli.app import COMPARE, app
from dna_pipelines.cli.look import Json
from dna_pipelines.cli.terminal import out, show_json


@app.command(rich_help_panel=COMPARE)
def metrics(json: Json = False) -> None:
    """List the distances there are: what each takes, what it sees, and what it cannot see."""
    from dna_pipelines.comparison.metrics import METRICS, Metric

    if json:
        show_json([one.to_json() for one in METRICS])
        return

    def lines(one: Metric) -> list[str]:
        high = "no end" if one.high is None else f"{one.high:.4g}"
        law = "a metric of distributions" if one.is_metric else "no metric: the triangle inequality does not hold"
        kept = "kept for all pairs" if one.kept else "computed when asked for"
        return [
            one.formula,
            f"from {one.low:g} to {high}, unit: {one.unit}; {law}",
            f"takes: {one.takes}; {kept}; source: {one.source}",
            f"sees: {one.sees}",
            f"cannot see: {one.blind_to}",
        ]

    for one in METRICS:
        out.print(Text.assemble((one.name, "bold"), f": {one.title}"), soft_wrap=True)
        for line in lines(one):
            out.print(f"  {line}", markup=False, soft_wrap=True)
