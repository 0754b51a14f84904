"""Discrete labels from features: kNN → k-reciprocal Jaccard → DBSCAN → agreement (METHOD section 3 of the project)."""

from airfast.labels.engine import generate_labels
from airfast.labels.features import load_features
from airfast.labels.result import LabelSet

__all__ = ["LabelSet", "generate_labels", "load_features"]
