"""The files of the lake that SQL reads, and their columns."""

from __future__ import annotations

from dna_pipelines.storage.records import Commit, DnaRecord, ExtractorRecord, Record, SelectionRecord

TABLES: dict[str, tuple[str, str]] = {
    # name: (glob below the lake, columns where there is no file yet)
    "registry": ("registry.json", "name VARCHAR, uri VARCHAR, tags MAP(VARCHAR, VARCHAR)"),
    "commits": (
        "datasets/*/commits/*.json",
        """dataset VARCHAR, uri VARCHAR, seq BIGINT, version_id VARCHAR, manifest_id VARCHAR, raw_version VARCHAR,
        n_images BIGINT, n_quarantined BIGINT, n_ignored BIGINT, n_not_sampled BIGINT,
        n_groups BIGINT, n_bytes BIGINT,
        shards STRUCT(shard_id VARCHAR, n_images BIGINT, parents VARCHAR[])[], changes MAP(VARCHAR, BIGINT),
        created_at TIMESTAMP""",
    ),
    "extractors": (
        "extractors/*.json",
        """name VARCHAR, fingerprint VARCHAR, ranges_id VARCHAR, comparability_key VARCHAR, compute_key VARCHAR,
        recorded_at TIMESTAMP""",
    ),
    "neuron_names": (
        "names/*.parquet",
        "comparability_key VARCHAR, layer VARCHAR, neuron INTEGER, name VARCHAR",
    ),
    "dna_records": (
        "dna/records/*.json",
        """dna_id VARCHAR, extractor VARCHAR, comparability_key VARCHAR, version_id VARCHAR, made_for VARCHAR,
        n_images BIGINT, n_neurons BIGINT, layers VARCHAR[][], shards VARCHAR[], compute_keys VARCHAR[], n_dead BIGINT,
        clipped_share DOUBLE, n_images_extracted BIGINT, extraction_s DOUBLE, created_at TIMESTAMP""",
    ),
    "current_dnas": (
        "dna/current.json",
        "extractor VARCHAR, comparability_key VARCHAR, dataset VARCHAR, dna_id VARCHAR",
    ),
    "manifest_rows": (
        "current/*.parquet",
        """dataset VARCHAR, path VARCHAR, path_bytes BLOB, digest VARCHAR, "group" VARCHAR, size_bytes BIGINT,
        width_px INTEGER, height_px INTEGER, format VARCHAR, shard_id VARCHAR, block SMALLINT, status VARCHAR,
        reason VARCHAR, detail VARCHAR, signature VARCHAR, unsettled BOOLEAN, metadata MAP(VARCHAR, VARCHAR),
        page INTEGER, reading VARCHAR, file_digest VARCHAR, n_clipped BIGINT""",
    ),
    "dna_histogram": (
        "dna/histogram/*.parquet",
        """dna_id VARCHAR, layer VARCHAR, neuron INTEGER, kind VARCHAR, n_values UBIGINT, clipped_low UBIGINT,
        clipped_high UBIGINT, n_zero UBIGINT, n_nan UBIGINT, minimum FLOAT, maximum FLOAT, counts UBIGINT[]""",
    ),
    "dna_moments": (
        "dna/moments/*.parquet",
        """dna_id VARCHAR, layer VARCHAR, neuron INTEGER, kind VARCHAR, n_images UBIGINT, mean DOUBLE, m2 DOUBLE,
        variance DOUBLE""",
    ),
    "image_rows": (
        "partials/*/images/*.parquet",
        "digest VARCHAR, signs UTINYINT[], layer VARCHAR, pooled FLOAT[], filename VARCHAR",
    ),
    "layer_rows": (
        "distances/layers/*.parquet",
        """comparability_key VARCHAR, dna_a VARCHAR, dna_b VARCHAR, layer VARCHAR, n_neurons INTEGER,
        emd_bins DOUBLE, emd_range DOUBLE, nfd DOUBLE, fd DOUBLE, n_emd INTEGER, n_nfd INTEGER""",
    ),
    "verdicts": (
        "verdicts/*.parquet",
        """dna_a VARCHAR, dna_b VARCHAR, label_a VARCHAR, label_b VARCHAR, n_images_a BIGINT, n_images_b BIGINT,
        selection_id VARCHAR, "method" BIGINT, n_resamples BIGINT, unit VARCHAR, doubts VARCHAR[], n_tests BIGINT,
        emd_bins DOUBLE, noise_floor_bins DOUBLE, noise_spread_bins DOUBLE, debiased_bins DOUBLE, low_bins DOUBLE,
        high_bins DOUBLE, p DOUBLE, p_tail DOUBLE, extrapolated BOOLEAN, p_mean DOUBLE, p_strongest DOUBLE,
        n_units_a BIGINT, n_units_b BIGINT, more_than_chance BOOLEAN, n_tested BIGINT, n_changed BIGINT,
        layers STRUCT(layer VARCHAR, n_neurons BIGINT, emd_bins DOUBLE, noise_floor_bins DOUBLE, p DOUBLE)[],
        neurons STRUCT(layer VARCHAR, p DOUBLE[])[]""",
    ),
    "neuron_rows": (
        "distances/neurons/*.parquet",
        """dna_a VARCHAR, dna_b VARCHAR, metric VARCHAR, layer VARCHAR, "values" FLOAT[]""",
    ),
    "selection_records": (
        "selections/records/*/*.json",
        """name VARCHAR, seq BIGINT, removed BOOLEAN, extractor VARCHAR, comparability_key VARCHAR, layers VARCHAR[][],
        weights_id VARCHAR, n_chosen BIGINT, how JSON, created_at TIMESTAMP""",
    ),
    "weight_rows": (
        "selections/weights/*.parquet",
        "weights_id VARCHAR, layer VARCHAR, weights DOUBLE[]",
    ),
    "steered_rows": (
        "distances/steered/*.parquet",
        """weights_id VARCHAR, dna_a VARCHAR, dna_b VARCHAR, emd_bins DOUBLE, emd_range DOUBLE, nfd DOUBLE""",
    ),
}


RECORDS: dict[str, type[Record]] = {
    "commits": Commit, "extractors": ExtractorRecord, "dna_records": DnaRecord, "selection_records": SelectionRecord,
}  # fmt: skip
"""The classes of the tables that are JSON records."""


OPTIONAL = frozenset({"verdicts", "layer_rows", "manifest_rows", "image_rows"})
"""Tables whose files may lack columns: those of earlier versions do, and features have a column for each layer."""


def split(columns: str) -> list[tuple[str, str]]:
    """`a BIGINT, b STRUCT(x INT, y INT)[]` as pairs of name and type."""
    pieces, depth, start = [], 0, 0
    for index, letter in enumerate(columns):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            pieces.append(columns[start:index])
            start = index + 1
    pieces.append(columns[start:])
    return [(name, kind) for name, _, kind in (piece.strip().partition(" ") for piece in pieces)]
