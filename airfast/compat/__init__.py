"""Functions that other projects have by these names, so that their training code takes ours by changing an import."""

from airfast.compat.reid import (
    compute_cross_agreement,
    compute_jaccard_distance,
    compute_ranked_list,
    re_ranking,
)

__all__ = ["compute_cross_agreement", "compute_jaccard_distance", "compute_ranked_list", "re_ranking"]
