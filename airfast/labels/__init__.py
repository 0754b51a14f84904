"""Discrete labels from features: kNN → k-reciprocal Jaccard → DBSCAN → agreement (METHOD section 3 of the project)."""
