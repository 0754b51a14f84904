"""Workers of Dask are ranks like any other; where Dask is not installed there is nothing to test."""

import numpy as np
import pytest
from label_sets import clustered

from airfast.errors import InputError
from airfast.labels import generate_labels
from airfast.labels.on_dask import labels_on_dask

distributed = pytest.importorskip("distributed", reason="dask is not installed: airfast[dask]")


@pytest.mark.filterwarnings("default")  # what Dask warns of is its own affair
def test_two_workers_find_the_labels_of_one_and_say_who_failed(tmp_path):
    features = tmp_path / "features.npy"
    np.save(features, clustered(300, 16, 8, 0.5, 0))
    expected = generate_labels(np.load(features), eps=0.7)
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        found = labels_on_dask(client, str(features), eps=0.7)
        for name in ("labels", "core", "agreement"):
            assert getattr(found, name).numpy().tobytes() == getattr(expected, name).numpy().tobytes()
        assert expected.num_clusters > 1
        assert found.notes[-1].startswith("2 ranks: at work for ")
        with pytest.raises(InputError, match=r"rank [01] of 2: .*missing.npy: no such file"):
            labels_on_dask(client, str(tmp_path / "missing.npy"))
