-- The views of the catalog. Tables with a leading underscore are the files of the lake.

CREATE OR REPLACE VIEW versions AS
SELECT *, seq = max(seq) OVER (PARTITION BY dataset) AS is_current
FROM _commits;
COMMENT ON VIEW versions IS
    'One row per commit of a dataset; `is_current` marks the last one.';

CREATE OR REPLACE VIEW datasets AS
SELECT r.name AS dataset, r.uri, r.tags, v.seq, v.version_id, v.n_images, v.n_quarantined, v.n_ignored,
       coalesce(v.n_not_sampled, 0) AS n_not_sampled, v.n_groups, v.n_bytes, len(v.shards) AS n_shards, v.created_at
FROM _registry r LEFT JOIN (SELECT * FROM versions WHERE is_current) v ON v.dataset = r.name;
COMMENT ON VIEW datasets IS
    'One row per watched dataset with its current version (NULL: not scanned yet).';

CREATE OR REPLACE VIEW images AS
SELECT * EXCLUDE (status, reason, detail, unsettled) REPLACE (coalesce(file_digest, digest) AS file_digest),
       detail AS assumed
FROM _manifest_rows SEMI JOIN _registry r ON r.name = dataset
WHERE status = 'ok';
COMMENT ON VIEW images IS
    'One row per readable image of the current version of each watched dataset.';

CREATE OR REPLACE VIEW quarantine AS
SELECT dataset, path, path_bytes, reason, detail, size_bytes, digest
FROM _manifest_rows SEMI JOIN _registry r ON r.name = dataset WHERE status <> 'ok';
COMMENT ON VIEW quarantine IS
    'One row per file of a watched dataset that is excluded, with the reason.';

CREATE OR REPLACE VIEW shards AS
SELECT dataset, seq, version_id, is_current, s.shard_id, s.n_images, s.parents
FROM (SELECT dataset, seq, version_id, is_current, unnest(shards) AS s FROM versions);
COMMENT ON VIEW shards IS
    'One row per shard of each version.';

CREATE OR REPLACE VIEW dnas AS
SELECT d.* REPLACE (coalesce(e.extractor, d.extractor) AS extractor), v.dataset, v.seq,
       coalesce(v.is_current, false) AND c.dna_id IS NOT NULL AS is_current
FROM _dna_records d
LEFT JOIN versions v ON v.version_id = d.version_id
LEFT JOIN (SELECT DISTINCT extractor, comparability_key FROM _current_dnas) e
  ON e.comparability_key = d.comparability_key
LEFT JOIN _current_dnas c ON c.dna_id = d.dna_id AND c.dataset = v.dataset AND c.extractor = e.extractor;
COMMENT ON VIEW dnas IS
    'One row per DNA and extractor with its comparability key, with the datasets and commits it is the fingerprint of; `is_current` also means that no check blocks it.';

CREATE OR REPLACE VIEW dna AS
SELECT h.*, m.n_images, m.mean, m.variance, n.name AS neuron_name
FROM _dna_histogram h
JOIN _dna_records r USING (dna_id)
LEFT JOIN _dna_moments m ON m.dna_id = h.dna_id AND m.layer = h.layer AND m.neuron = h.neuron
LEFT JOIN _neuron_names n
  ON n.comparability_key = r.comparability_key AND n.layer = h.layer AND n.neuron = h.neuron;
COMMENT ON VIEW dna IS
    'One row per DNA and neuron: the distribution of its activations (neuron_name: NULL where neurons have no names).';

CREATE OR REPLACE VIEW neurons AS
SELECT e.name AS extractor, n.layer, n.neuron, n.name
FROM _extractors e JOIN _neuron_names n USING (comparability_key);
COMMENT ON VIEW neurons IS
    'One row per neuron that has a name. Join it on extractor, layer and neuron.';

CREATE OR REPLACE VIEW image_features AS
WITH measured AS (
    -- Only the shards of the DNA: a dataset that received the same images in another order has other shards.
    SELECT extractor, dataset, compute_keys, unnest(shards) AS shard_id FROM dnas WHERE is_current
)
SELECT d.extractor, i.dataset, i.path, i.digest, i."group", i.metadata, d.shard_id, f.layer, f.pooled, f.signs
FROM (
    SELECT *, parse_filename(filename, true) AS shard_id, parse_path(filename)[-3] AS compute_key FROM _image_rows
) f
JOIN measured d ON d.shard_id = f.shard_id AND list_contains(d.compute_keys, f.compute_key)
JOIN images i ON i.dataset = d.dataset AND i.digest = f.digest
-- An image that a dataset has twice has two rows in its shards, and two in `images`.
QUALIFY row_number() OVER (PARTITION BY d.extractor, i.dataset, i.path_bytes, f.layer) = 1;
COMMENT ON VIEW image_features IS
    'One row per image of each current DNA and layer whose features are stored: its activations averaged over positions, in units of the activation range (-1 to 1), and its sign bits. Select one dataset and one layer at a time.';

CREATE OR REPLACE VIEW layer_distances AS
SELECT DISTINCT ON (dna_a, dna_b, layer) * FROM _layer_rows;
COMMENT ON VIEW layer_distances IS
    'One row per pair of DNAs and layer. Where two writers computed the same pair, one row is shown.';

CREATE OR REPLACE VIEW neuron_distances AS
SELECT coalesce(e.extractor, r.extractor) AS extractor, n.*
FROM _neuron_rows n
JOIN _dna_records r ON r.dna_id = n.dna_a
LEFT JOIN (SELECT DISTINCT extractor, comparability_key FROM _current_dnas) e
  ON e.comparability_key = r.comparability_key;
COMMENT ON VIEW neuron_distances IS
    'One row per pair, metric and layer. Select one extractor, because layers of another may have the same names; `values` has one number per neuron. Weight them in SQL: list_dot_product(values, weights) / list_sum(weights).';

CREATE OR REPLACE VIEW matrix AS
WITH known AS (
    -- A neuron without a value does not count, as in `dna compare`; older tables have only the number of neurons.
    SELECT *, if(isnan(emd_bins), NULL, coalesce(n_emd, n_neurons)) AS of_emd,
           if(isnan(nfd), NULL, coalesce(n_nfd, n_neurons)) AS of_nfd
    FROM layer_distances
), pairs AS (
    SELECT dna_a, dna_b, sum(emd_bins * of_emd) / sum(of_emd) AS emd_bins,
           sum(emd_range * of_emd) / sum(of_emd) AS emd_range,
           sum(nfd * of_nfd) / sum(of_nfd) AS nfd, avg(fd) AS fd
    FROM known GROUP BY dna_a, dna_b
), both_ways AS (
    SELECT dna_a AS a, dna_b AS b, * EXCLUDE (dna_a, dna_b) FROM pairs
    UNION ALL SELECT dna_b, dna_a, * EXCLUDE (dna_a, dna_b) FROM pairs WHERE dna_a <> dna_b
)
SELECT x.extractor, x.dataset AS dataset_a, y.dataset AS dataset_b, p.emd_bins, p.emd_range, p.nfd, p.fd
FROM _current_dnas x
JOIN _current_dnas y ON y.extractor = x.extractor AND y.dataset <> x.dataset
JOIN (SELECT * FROM both_ways
      UNION ALL SELECT dna_id, dna_id, 0, 0, 0, 0 FROM (SELECT DISTINCT dna_id FROM _current_dnas)) p
  ON p.a = x.dna_id AND p.b = y.dna_id;

COMMENT ON VIEW matrix IS
    'One row per ordered pair of current datasets and extractor: means over all neurons (FD: over the layers with a covariance).';

CREATE OR REPLACE VIEW changes AS
WITH before AS (
    SELECT now.dataset, now.seq, now.version_id, max(old.seq) AS previous_seq,
           arg_max(old.version_id, old.seq) AS previous_version_id
    FROM versions now JOIN versions old ON old.dataset = now.dataset AND old.version_id <> now.version_id
    WHERE now.is_current GROUP BY ALL
)
SELECT c.extractor, b.dataset, b.previous_seq, b.seq, l.layer, l.n_neurons, l.emd_bins, l.emd_range, l.nfd, l.fd
FROM before b
JOIN _current_dnas c ON c.dataset = b.dataset
JOIN _dna_records x ON x.dna_id = c.dna_id AND x.version_id = b.version_id
JOIN _dna_records y ON y.version_id = b.previous_version_id AND y.comparability_key = x.comparability_key
JOIN layer_distances l ON l.dna_a = least(x.dna_id, y.dna_id) AND l.dna_b = greatest(x.dna_id, y.dna_id);
COMMENT ON VIEW changes IS
    'One row per dataset, extractor and layer: the distance of the current version from the version before its last change.';

CREATE OR REPLACE VIEW layer_traits AS
SELECT dna_id, layer, any_value(kind) AS kind, count(*) AS n_neurons,
       count(*) FILTER (minimum = maximum) AS n_dead,
       count(*) FILTER (minimum = maximum AND minimum = 0) AS n_silent,
       sum(n_zero) / nullif(sum(n_values), 0) AS zero_share,
       sum(clipped_low + clipped_high) / nullif(sum(n_values), 0) AS clipped_share
FROM _dna_histogram SEMI JOIN _dna_records USING (dna_id) GROUP BY dna_id, layer;
COMMENT ON VIEW layer_traits IS
    'One row per DNA and layer: neurons with the same value everywhere (dead) and zero everywhere (silent), the share of zeros, the share of values outside the activation ranges.';

CREATE OR REPLACE VIEW selections AS
SELECT name AS selection, seq AS version,
       seq = max(seq) OVER (PARTITION BY name) AND NOT removed AS is_current, removed,
       extractor, comparability_key, layers, weights_id, n_chosen, how, created_at
FROM _selection_records;
COMMENT ON VIEW selections IS
    'One row per version of a selection of neurons; `how` describes how it was made, and `comparability_key` is that of the DNAs it was learned from (NULL: chosen by hand, for any DNA with these layers).';

CREATE OR REPLACE VIEW selection_weights AS
SELECT s.selection, s.version, s.is_current, w.layer, w.weights
FROM selections s JOIN _weight_rows w USING (weights_id);
COMMENT ON VIEW selection_weights IS
    'One row per version of a selection and layer; `weights` has one number per neuron, in the order of `values` in neuron_distances.';

CREATE OR REPLACE VIEW steered_matrix AS
WITH once AS (SELECT DISTINCT ON (weights_id, dna_a, dna_b) * FROM _steered_rows),
both_ways AS (
    SELECT weights_id, dna_a AS a, dna_b AS b, emd_bins, emd_range, nfd FROM once
    UNION ALL SELECT weights_id, dna_b, dna_a, emd_bins, emd_range, nfd FROM once
)
SELECT s.selection, s.version, s.is_current, x.extractor, x.dataset AS dataset_a, y.dataset AS dataset_b,
       p.emd_bins, p.emd_range, p.nfd
FROM _current_dnas x
JOIN _current_dnas y ON y.extractor = x.extractor AND y.dataset <> x.dataset
JOIN (FROM both_ways
      UNION ALL SELECT weights_id, dna_id, dna_id, 0, 0, 0
      FROM (SELECT DISTINCT weights_id FROM selections WHERE NOT removed), (SELECT DISTINCT dna_id FROM _current_dnas)) p
  ON p.a = x.dna_id AND p.b = y.dna_id
JOIN selections s ON s.weights_id = p.weights_id
WHERE s.comparability_key IS NULL OR s.comparability_key = x.comparability_key;
COMMENT ON VIEW steered_matrix IS
    'One row per ordered pair of current datasets, extractor and version of a selection that `dna matrix --selection` computed: weighted means over its neurons.';

-- A macro, because it takes a name: FROM steered('rain').
CREATE OR REPLACE MACRO steered(of_selection) AS TABLE
WITH chosen AS (
    SELECT s.selection, s.version, s.comparability_key, s.layers, w.layer, w.weights, count(*) OVER () AS n_layers
    FROM selections s JOIN _weight_rows w USING (weights_id)
    WHERE s.is_current AND s.selection = of_selection AND list_sum(w.weights) > 0
), known AS (
    SELECT c.selection, c.version, c.n_layers, d.dna_a, d.dna_b, d.metric, d.layer, c.weights,
           -- A neuron without a value does not count, in the sum or in the weights.
           [CAST(if(isnan(v), 0, v) AS DOUBLE) FOR v IN d."values"] AS there,
           [if(isnan(v), 0.0::DOUBLE, 1.0::DOUBLE) FOR v IN d."values"] AS counted
    FROM _neuron_rows d
    JOIN _dna_records r ON r.dna_id = d.dna_a
    JOIN chosen c ON c.layer = d.layer AND c.layers = r.layers
    WHERE c.comparability_key IS NULL OR c.comparability_key = r.comparability_key
)
SELECT selection, version, dna_a, dna_b, metric,
       sum(list_dot_product(there, weights)) / nullif(sum(list_dot_product(counted, weights)), 0) AS distance
FROM known GROUP BY selection, version, n_layers, dna_a, dna_b, metric HAVING count(*) = any_value(n_layers);

CREATE OR REPLACE VIEW significance AS
SELECT dna_a, dna_b, label_a, label_b, n_images_a, n_images_b, selection_id, "method", n_resamples AS n_permutations,
       unit AS sampling_unit, doubts AS caveats, n_tests, emd_bins, noise_floor_bins AS null_mean_bins,
       noise_spread_bins AS null_sd_bins, debiased_bins AS bias_corrected_bins, low_bins AS ci_low_bins,
       high_bins AS ci_high_bins, p, p_tail, extrapolated AS tail_estimated, p_mean, p_strongest, n_units_a, n_units_b,
       more_than_chance AS significant, n_tested, n_changed, layers,
       -- Aliases, removed in the next release.
       n_resamples, unit, doubts, noise_floor_bins, noise_spread_bins, debiased_bins, low_bins, high_bins, extrapolated,
       more_than_chance
FROM _verdicts WHERE "method" = (SELECT max("method") FROM _verdicts);
COMMENT ON VIEW significance IS
    'One row per pair that was tested: the distance, its mean and standard deviation under the null hypothesis, and whether it is `significant` by `p`, which is of the mean (`p_mean`) and the strongest neuron (`p_strongest`) together. `layers` has p for each layer, corrected for all of them (its noise_floor_bins is the null mean); `selection_id` is the `weights_id` of selections. Where images were added and others removed there is a row for each, with p corrected for both (`n_tests`).';

CREATE OR REPLACE VIEW neuron_significance AS
SELECT dna_a, dna_b, selection_id, n_permutations, s.layer, s.p, n_permutations AS n_resamples
FROM (SELECT dna_a, dna_b, selection_id, n_resamples AS n_permutations, unnest(neurons) AS s FROM _verdicts
      WHERE "method" = (SELECT max("method") FROM _verdicts));
COMMENT ON VIEW neuron_significance IS
    'One row per pair that was tested and layer; `p` has one number per neuron, corrected for all neurons (NULL: not tested).';
