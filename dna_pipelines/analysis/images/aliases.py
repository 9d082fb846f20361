"""Keys of JSON values before release 0.2, which are still there beside the new ones. The next release drops them."""

from __future__ import annotations

from typing import Any

ALIASES = {
    "emd_beyond_chance_bins": "significant_emd_bins",
    "n_plain_a": "n_featureless_a",
    "n_plain_b": "n_featureless_b",
    "only_what_b_has_not": "only_images_not_in_b",
    "parts": "groups",
    "plain_unknown": "featureless_unknown",
    "seldom": "conformal_p",
    "seldom_in_b": "conformal_p_in_b",
}
"""The name of each value by the name that it had before."""


def with_aliases(value: dict[str, Any]) -> dict[str, Any]:
    """A JSON value with the former names of its keys beside the present ones."""
    return {**value, **{old: value[new] for old, new in ALIASES.items() if new in value}}
