"""`dna compare` and `dna matrix` on whether distances are significant."""

import pytest

from dna_pipelines.comparison import Significance


def test_compare_shows_whether_it_is_significant(project, dna):
    found, shown = dna("compare", "d0", "d2", "--json").json, dna("compare", "d0", "d2").out
    result = found["significance"]
    assert result["p"] < 0.05
    assert result["significant"]
    assert min(result["p_mean"], result["p_strongest"]) <= result["p"] <= result["p_strongest"] / 0.8 + 1e-9
    assert result["in_words"] in shown
    assert f"{result['n_changed']} of {result['n_tested']} " in shown
    assert result["bias_corrected_bins"] == pytest.approx(result["emd_bins"] - result["null_mean_bins"])
    # On 50 bins instead of 1,000, and otherwise the same distance.
    assert result["emd_bins"] == pytest.approx(found["emd_bins"], rel=0.1)
    assert [row["layer"] for row in result["layers"]] == [row["layer"] for row in found["layers"]]
    assert result["unit"] == "image"
    assert all(f"{result[name]:.3g}" in shown for name in ("bias_corrected_bins", "ci_low_bins", "ci_high_bins"))


def test_a_result_of_the_strongest_neuron_alone_has_a_line_that_says_so(project, dna, monkeypatch):
    shown = {}
    for by_strongest in (False, True):
        monkeypatch.setattr(Significance, "by_strongest_neuron", by_strongest)
        shown[by_strongest] = dna("compare", "d0", "d2").out.splitlines()
    more = [line for line in shown[True] if line not in shown[False]]
    assert (len(more), len(shown[True])) == (1, len(shown[False]) + 1)
    assert "strongest" in more[0]


def test_the_order_of_two_does_not_matter(project, dna):
    there, back = (dna("compare", *pair, "--json").json["significance"] for pair in (("d0", "d1"), ("d1", "d0")))
    assert {key: there[key] for key in ("p", "null_mean_bins", "n_changed")} == {
        key: back[key] for key in ("p", "null_mean_bins", "n_changed")
    }


def test_it_can_be_left_out(project, dna):
    said = dna("compare", "d0", "d1", "--no-test", "--json")
    assert "significance" not in said.json
    refused = dna("compare", "d0", "d1", "--no-test", "--explain", "--json")
    assert refused.code == 1
    assert refused.error == "cli.options-conflict"
    assert refused.facts == {"options": ["--explain", "--no-test"]}


@pytest.mark.parametrize("option", ["--permutations", "--resamples"])
def test_the_number_of_permutations_can_be_chosen(project, dna, option):
    assert dna("compare", "d0", "d1", option, "199", "--json").json["significance"]["n_resamples"] == 199
    assert dna("compare", "d0", "d1", option, "9").code == 2


def test_explanations_name_layers_and_neurons(project, dna):
    found = dna("compare", "d0", "d2", "--explain", "--json").json["explanations"]
    assert found["layers"]
    assert found["neurons"]
    assert [row["p"] for row in found["neurons"]] == sorted(row["p"] for row in found["neurons"])
    shown = dna("compare", "d0", "d2", "--explain").out
    first = found["neurons"][0]
    assert any(
        {first["layer"], str(first["neuron"]), f"{first['emd_bins']:.4g}"} <= set(line.split())
        for line in shown.splitlines()
    )
    # The images are those of the first dataset, and each is named to people too.
    carriers = [row["path"] for row in found["images"]["images"]]
    assert 0 < len(carriers) <= 5
    assert all(path in shown for path in carriers)
    # Neurons without names say nothing in words.
    assert found["words"] == []


def test_where_nothing_is_tested_nothing_is_explained(project, dna):
    found = dna("compare", "d0", "d0", "--explain", "--json").json["explanations"]
    assert found == {"words": [], "layers": [], "neurons": [], "images": None}


def test_a_kept_selection_is_compared_and_tested(project, dna):
    assert dna("select", "save", "mine", "--layer", "stage2.between").code == 0
    kept, named = (
        dna("compare", "d0", "d2", *of, "--json").json
        for of in (("--selection", "mine"), ("--layer", "stage2.between"))
    )
    assert kept["emd_bins"] == named["emd_bins"]
    assert kept["significance"] == named["significance"]
    refused = dna("compare", "d0", "d2", "--selection", "mine", "--layer", "stage1.between")
    assert (refused.code, refused.out) == (1, "")
    assert dna("matrix", "--selection", "mine", "--significance").code == 0


def test_another_distance_has_a_line_and_a_column(project, dna):
    found = dna("compare", "d0", "d2", "--metric", "ks", "--json").json["metric"]
    shown = dna("compare", "d0", "d2", "--metric", "ks").out
    assert f"ks  {found['value']:.4g}" in shown
    assert all(f"{row['value']:.4g}" in shown for row in found["layers"])


def test_the_same_images_are_not_tested(project, dna):
    found = dna("compare", "d0", "d0", "--json").json["significance"]
    assert (found["p"], found["same"]) == (None, True)
    assert dna("compare", "d0", "d0").code == 0


def test_too_few_images_are_not_tested(changed, dna):
    found = dna("compare", "d0@-1", "d0", "--json").json["significance"]
    assert (found["p"], found["same"], found["n_shared"]) == (None, False, 10)
    assert found["why_not"] in " ".join(dna("compare", "d0@-1", "d0").out.split())


def test_files_of_other_programs_have_no_blocks(project, dna):
    assert dna("export", "d0", "d0.json").code == 0
    found = dna("compare", "d0.json", "d1", "--json").json["significance"]
    assert found["p"] is None
    assert "d0.json" in found["why_not"]


def test_the_matrix_marks_what_is_significant_with_assumptions_violated(project, dna):
    """Paths that look like clips, and no group: p is not to be trusted."""
    for path in (project / "d2").iterdir():
        path.rename(path.with_name(f"clip_{path.name}"))
    assert dna("run").code == 0
    pairs = {(row["a"], row["b"]): row for row in dna("matrix", "--significance", "--json").json["pairs"]}
    assert pairs["d0", "d1"]["doubts"] == []
    assert "d2" in pairs["d0", "d2"]["doubts"][0]
    assert pairs["d0", "d2"]["differs"]
    shown = dna("matrix", "--significance")
    assert shown.names("2 pairs", "d0 and d2", pairs["d0", "d2"]["doubts"][0])
    assert shown.out.count("! ") == 2 * sum(bool(row["doubts"] and row["differs"]) for row in pairs.values())


def test_the_matrix_marks_what_is_not_significant(project, dna):
    said = dna("matrix", "--significance", "--json")
    pairs = {(row["a"], row["b"]): row for row in said.json["pairs"]}
    assert pairs.keys() == {("d0", "d1"), ("d0", "d2"), ("d1", "d2")}
    for (a, b), row in pairs.items():
        alone = dna("compare", a, b, "--json").json["significance"]
        assert all(row[name] == alone[name] for name in ("p", "p_mean", "p_strongest", "p_tail"))
        assert row["p_tail"] <= row["p_bh"] <= row["p_by"]
        assert row["differs"] == (row["p_by"] <= 0.05)
    shown = dna("matrix", "--significance")
    alike = sum(not row["differs"] for row in pairs.values())
    assert shown.names(f"{3 - alike} of 3 pairs")
    assert shown.out.count("≈") == 2 * alike
    assert "pairs" not in dna("matrix", "--json").json
