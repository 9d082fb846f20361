"""`dna compare` and `dna matrix` on whether distances are more than chance."""

import pytest


def test_compare_says_whether_it_is_chance(project, dna):
    found, shown = dna("compare", "d0", "d2", "--json").json, dna("compare", "d0", "d2").out
    verdict = found["significance"]
    assert verdict["p"] < 0.05
    assert verdict["more_than_chance"]
    assert min(verdict["p_mean"], verdict["p_strongest"]) <= verdict["p"] <= verdict["p_strongest"] / 0.8 + 1e-9
    assert "more than chance at these sizes" in verdict["in_words"]
    assert verdict["in_words"] in shown
    assert f"{verdict['n_changed']} of {verdict['n_tested']} neurons changed" in shown
    assert verdict["debiased_bins"] == pytest.approx(verdict["emd_bins"] - verdict["noise_floor_bins"])
    # On 50 bins instead of 1,000, and otherwise the same distance.
    assert verdict["emd_bins"] == pytest.approx(found["emd_bins"], rel=0.1)
    assert [row["layer"] for row in verdict["layers"]] == [row["layer"] for row in found["layers"]]
    assert "independent unit: image" in shown


def test_the_order_of_two_does_not_matter(project, dna):
    there, back = (dna("compare", *pair, "--json").json["significance"] for pair in (("d0", "d1"), ("d1", "d0")))
    assert {key: there[key] for key in ("p", "noise_floor_bins", "n_changed")} == {
        key: back[key] for key in ("p", "noise_floor_bins", "n_changed")
    }


def test_it_can_be_left_out(project, dna):
    said = dna("compare", "d0", "d1", "--no-test", "--json")
    assert "significance" not in said.json
    assert "chance" not in dna("compare", "d0", "d1", "--no-test").out
    refused = dna("compare", "d0", "d1", "--no-test", "--explain")
    assert refused.code == 1
    assert refused.tells("leave out --no-test")


def test_the_number_of_deals_can_be_chosen(project, dna):
    assert dna("compare", "d0", "d1", "--resamples", "199", "--json").json["significance"]["n_resamples"] == 199
    assert dna("compare", "d0", "d1", "--resamples", "9").code == 2


def test_explanations_name_layers_and_neurons(project, dna):
    found = dna("compare", "d0", "d2", "--explain", "--json").json["explanations"]
    assert found["layers"]
    assert found["neurons"]
    assert [row["p"] for row in found["neurons"]] == sorted(row["p"] for row in found["neurons"])
    shown = dna("compare", "d0", "d2", "--explain").out
    assert "neurons that lead" in shown
    assert str(found["neurons"][0]["neuron"]) in shown
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
    assert dna("compare", "d0", "d2", "--selection", "mine", "--layer", "stage1.between").tells(
        "either a selection, or layers"
    )
    assert dna("matrix", "--selection", "mine", "--significance").code == 0


def test_another_distance_has_a_line_and_a_column(project, dna):
    found = dna("compare", "d0", "d2", "--metric", "ks", "--json").json["metric"]
    shown = dna("compare", "d0", "d2", "--metric", "ks").out
    assert f"ks  {found['value']:.4g}" in shown
    assert all(f"{row['value']:.4g}" in shown for row in found["layers"])


def test_the_same_images_are_not_tested(project, dna):
    found = dna("compare", "d0", "d0", "--json").json["significance"]
    assert (found["p"], found["same"]) == (None, True)
    assert "the same images" in dna("compare", "d0", "d0").out


def test_what_is_too_little_is_said(changed, dna):
    shown = dna("compare", "d0@-1", "d0").out
    assert "not tested: there are too few" in shown or "not tested: the smaller side" in shown


def test_files_of_other_programs_have_no_blocks(project, dna):
    assert dna("export", "d0", "d0.json").code == 0
    found = dna("compare", "d0.json", "d1", "--json").json["significance"]
    assert found["p"] is None
    assert "no blocks to deal" in found["why_not"]


def test_the_matrix_marks_what_differs_but_is_in_doubt(project, dna):
    """Paths that look like clips, and no group: p is not to be trusted."""
    for path in (project / "d2").iterdir():
        path.rename(path.with_name(f"clip_{path.name}"))
    assert dna("run").code == 0
    pairs = {(row["a"], row["b"]): row for row in dna("matrix", "--significance", "--json").json["pairs"]}
    assert pairs["d0", "d1"]["doubts"] == []
    assert "likely sequences without a group" in pairs["d0", "d2"]["doubts"][0]
    assert pairs["d0", "d2"]["differs"]
    shown = dna("matrix", "--significance")
    assert shown.tells("2 are in doubt (marked ! where they differ), such as d0 and d2: d2: likely sequences")
    assert shown.out.count("! ") == 2 * sum(bool(row["doubts"] and row["differs"]) for row in pairs.values())


def test_the_matrix_marks_what_is_chance(project, dna):
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
    assert f"{alike} of 3 pairs differ no more than by chance" in shown.err
    assert shown.out.count("≈") == 2 * alike
    assert "pairs" not in dna("matrix", "--json").json
