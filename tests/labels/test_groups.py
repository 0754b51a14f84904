"""Neighbours within and across groups, and pairs that may not be linked, beside the dense reference."""

import numpy as np
import pandas as pd
import pytest
import torch
from label_sets import DEVICE, clustered, duplicates, lattice

from airfast import JaccardDBSCAN, generate_labels, jaccard_graph
from airfast.errors import InputError
from airfast.labels import engine, groups
from airfast.labels.cpu.backend import CpuBackend
from tests.cli.test_app import fails, run  # noqa: F401
from tests.reference import labels as reference

K1, K2 = (4, 9), (3, 2)


def shifted(n, d, identities, cameras, shift, seed):
    """Identities seen by cameras, each of which moves every feature by a step of its own."""
    random = np.random.default_rng(seed)
    identity, camera = random.integers(identities, size=n), random.integers(cameras, size=n)
    x = random.normal(size=(identities, d))[identity] + shift * random.normal(size=(cameras, d))[camera]
    return (x + 0.3 * random.normal(size=(n, d))).astype(np.float32), identity, camera


SETS = {
    "shifted": lambda: shifted(90, 12, 5, 3, 1.0, 0)[::2],
    "one group": lambda: (clustered(50, 12, 4, 0.4, 0), np.zeros(50, int)),
    "each alone": lambda: (clustered(50, 12, 4, 0.4, 0), np.arange(50)),
    "small groups": lambda: (clustered(60, 24, 6, 1.0, 1), np.random.default_rng(0).integers(25, size=60)),
    "duplicates": lambda: (duplicates(60, 5, 2), np.arange(60) // 7 % 3),
    "ties": lambda: (lattice(48, 3), np.arange(48) % 2),
    "one row": lambda: (np.ones((1, 3), np.float32), np.zeros(1, int)),
}


@pytest.mark.parametrize("memory_mb", [None, 1])
@pytest.mark.parametrize("name", SETS)
def test_labels_are_those_of_the_dense_distances(name, memory_mb):
    x, known = SETS[name]()
    expected = reference.grouped_distance(x, known, K1, K2)
    for eps in (0.5, 0.8):
        found = generate_labels(x, eps=eps, min_samples=3, groups=known, k1=K1, k2=K2, memory_mb=memory_mb)
        labels, core = reference.dbscan(expected <= eps + reference.SLACK, 3)
        np.testing.assert_array_equal(found.labels, labels)
        np.testing.assert_array_equal(found.core, core)


@pytest.mark.parametrize(("k1", "k2"), [((1, 9), (1, 3)), ((8, 0), (3, 0)), ((5, 5), (9, 1))])
def test_lists_of_one_kind(k1, k2):
    x, known = SETS["shifted"]()
    expected = reference.grouped_distance(x, known, k1, k2)
    labels, _ = reference.dbscan(expected <= 0.7 + reference.SLACK, 4)
    np.testing.assert_array_equal(generate_labels(x, eps=0.7, groups=known, k1=k1, k2=k2).labels, labels)


def test_blocks_end_anywhere():
    x, known = SETS["small groups"]()
    unit = torch.from_numpy(reference.unit(x).astype(np.float32))
    told = groups.Groups(torch.from_numpy(known), K1, K2, False)
    device = CpuBackend()
    whole = groups.grouped_neighbours(unit, told, device, 100)
    seen = []

    def by_two(n, row_bytes, memory_mb, work):
        seen.append(n)
        return (work(first, min(n, first + 2)) for first in range(0, n, 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "by_rows", by_two)
        parts = groups.grouped_neighbours(unit, told, device, 100)
        encoding = groups.encode_groups(unit, parts, told, 100)
    assert seen == [60] * 3
    assert all(map(torch.equal, whole, parts))
    expected = groups.encode_groups(unit, whole, told, 100)
    assert all(
        torch.equal(getattr(encoding, each), getattr(expected, each)) for each in ("indptr", "columns", "weights")
    )


def test_groups_find_who_crosses_cameras():
    x, identity, camera = shifted(400, 24, 8, 4, 1.0, 3)

    def crossed(found):
        """Share of the pairs of one identity and two cameras that have one label."""
        same = (identity[:, None] == identity) & (camera[:, None] != camera)
        labels = found.labels.numpy()
        return ((labels[:, None] == labels) & (labels >= 0))[same].mean()

    assert crossed(generate_labels(x, k1=20, k2=6)) < 0.1
    assert crossed(generate_labels(x, k1=(6, 21), k2=(3, 3), groups=camera)) > 0.6


@pytest.mark.parametrize("names", [list("abc"), [3, 1, 2], [True, False, True]])
def test_names_are_as_good_as_numbers(names):
    x, known = SETS["shifted"]()
    told = {"k1": K1, "k2": K2}
    named = np.array(names)[known]
    expected = generate_labels(x, groups=named == named[0] if names[0] is True else known, **told)
    for given in (named, list(named), named.astype(object)):
        assert torch.equal(generate_labels(x, groups=given, **told).labels, expected.labels)
    told_of_torch = generate_labels(torch.from_numpy(x), groups=torch.from_numpy(known), **told)
    assert torch.equal(told_of_torch.labels, generate_labels(x, groups=known, **told).labels)


def test_pairs_that_may_not_be_linked():
    x, _, camera = shifted(120, 12, 5, 3, 0.2, 0)
    distance = reference.jaccard_distance(x, 12, 3)
    may = (camera[:, None] != camera) | np.eye(120, dtype=bool)
    labels, core = reference.dbscan((distance <= 0.6 + reference.SLACK) & may, 4)
    found = generate_labels(x, k1=12, k2=3, groups=camera, cannot_link=True)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.core, core)
    assert not np.array_equal(found.core, generate_labels(x, k1=12, k2=3).core)
    for metric, eps in (("cosine", 0.1), ("euclidean", 1.5)):
        near = reference.feature_distance(x, metric) <= eps
        labels, _ = reference.dbscan(near & may, 4)
        told = generate_labels(x, metric=metric, eps=eps, groups=camera, cannot_link=True)
        np.testing.assert_array_equal(told.labels, labels)
    both = generate_labels(x, k1=K1, k2=K2, groups=camera, cannot_link=True)
    distance = reference.grouped_distance(x, camera, K1, K2)
    np.testing.assert_array_equal(both.labels, reference.dbscan((distance <= 0.6 + reference.SLACK) & may, 4)[0])


def test_several_eps_and_agreement_go_with_groups():
    x, known = SETS["shifted"]()
    told = {"groups": known, "k1": K1, "k2": K2, "cannot_link": True}
    for each, eps in zip(generate_labels(x, eps=(0.5, 0.7), **told), (0.5, 0.7), strict=True):
        assert torch.equal(each.labels, generate_labels(x, eps=eps, **told).labels)
    view = clustered(len(x), 12, 3, 0.4, 5)
    found = generate_labels(x, view, agreement_k=7, **told)
    np.testing.assert_allclose(found.agreement, reference.agreement(x, view, 7), atol=1e-6)


def test_small_groups_are_noted():
    x, known = SETS["small groups"]()
    size = np.unique(known, return_counts=True)[1]
    (note,) = generate_labels(x, groups=known, k1=K1, k2=K2).notes
    assert note == f"k1: {(size < 4).sum()} of {len(size)} groups have fewer than the 4 samples of a list within"
    assert generate_labels(x, groups=np.arange(60) // 30, k1=K1, k2=K2).notes == ()


def test_the_graph_and_the_estimator_take_them():
    x, known = SETS["shifted"]()
    told = {"k1": K1, "k2": K2}
    graph = jaccard_graph(x, **told, groups=known, radius=0.9).todense()
    expected = reference.grouped_distance(x, known, K1, K2)
    np.testing.assert_allclose(graph, np.where(expected <= 0.9, expected, 0), atol=1e-6)
    apart = jaccard_graph(x, **told, groups=known, radius=0.9, cannot_link=True)
    row, column = apart.nonzero()
    assert (known[row] != known[column]).all()
    assert apart.nnz < jaccard_graph(x, **told, groups=known, radius=0.9).nnz
    with pytest.raises(InputError, match="neighbours: k1="):
        jaccard_graph(x, **told, groups=known, neighbours=reference.ranking(x))
    made = JaccardDBSCAN(**told, cannot_link=True)
    found = generate_labels(x, **told, groups=known, cannot_link=True).labels
    np.testing.assert_array_equal(made.fit_predict(x, groups=known), found)
    np.testing.assert_array_equal(made.fit(np.append(x, 0 * x[:1], 0), groups=[*known, 0]).labels_, [*found, -1])
    with pytest.raises(InputError, match="predict: a new row has no group"):
        made.predict(x)
    with pytest.raises(InputError, match="groups: expected one of each of 90 samples, found 89"):
        made.fit(x, groups=known[1:])


def test_the_command_reads_them(tmp_path, monkeypatch, run):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    x, known = SETS["shifted"]()
    np.save("x.npy", x)
    np.save("cameras.npy", known)
    pd.DataFrame({"group": [f"camera {each}" for each in known]}).to_csv("cameras.csv")
    expected = generate_labels(x, groups=known, k1=K1, k2=K2).labels
    for file in ("cameras.npy", "cameras.csv"):
        assert run("label", "x.npy", "--groups", file, "--k1", "4,9", "--k2", "3,2")[0] == 0
        np.testing.assert_array_equal(pd.read_parquet("labels.parquet")["label"], expected)
    pd.DataFrame({"camera": known}).to_csv("other.csv")
    fails(run("label", "x.npy", "--groups", "other.csv", "--cannot-link"), "other.csv: no column 'group'")
    fails(run("label", "x.npy", "--groups", "x.txt", "--cannot-link"), "x.txt: expected one of .npy, .csv, .parquet")
    fails(run("label", "x.npy", "--k1", "4,9,2"), "--k1 4,9,2: expected a number, or within,across")


def test_every_step_is_said_when_it_begins(capsys):
    x, known = SETS["shifted"]()
    said = []
    generate_labels(x, x[:, :4], groups=known, k1=K1, k2=K2, verbose=said.append)
    steps = [line.partition(": ")[2] for line in said]
    assert steps == [engine.STEPS[each] for each in ("knn", "encode", "cluster", "knn", "agree")]
    generate_labels(x, verbose=True)
    assert capsys.readouterr().out.count("label stage, 0.") == 3
    generate_labels(x)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "piece"),
    [
        ({"k1": (6, 21), "k2": (3, 3)}, "groups: expected, since k1=(within, across)"),
        ({"cannot_link": True}, "groups: expected, since cannot_link"),
        ({"groups": [0] * 20}, "groups: nothing reads them"),
        ({"groups": [0] * 19, "cannot_link": True}, "groups: expected (20,) integers or names, found (19,)"),
        ({"groups": [0.5] * 20, "cannot_link": True}, "found (20,) float64"),
        ({"groups": [0] * 20, "k1": (6, 21)}, "k2: expected (within, across) as the other, found 6"),
        ({"groups": [0] * 20, "k1": (0, 21), "k2": (3, 3)}, "k1: expected at least 1 within"),
        ({"groups": [0] * 20, "k1": (6, 21), "k2": (3, -1)}, "0 across, found (3, -1)"),
        ({"groups": [0] * 20, "k1": (6, 21), "k2": (3, 3), "metric": "cosine"}, "found cosine and exact"),
        ({"groups": [0] * 20, "k1": (6, 21), "k2": (3, 3), "knn": "ivf"}, "found jaccard and ivf"),
        ({"groups": [0] * 20, "cannot_link": True, "eps": 1.0}, "eps: expected less than 1 with cannot_link"),
    ],
)
def test_what_cannot_be(told, piece):
    with pytest.raises(InputError) as caught:
        generate_labels(clustered(20, 6, 2, 0.4, 0), **told)
    assert piece in str(caught.value)


@pytest.mark.parametrize("name", SETS)
def test_the_cuda_backend_says_the_same(name, monkeypatch):
    pytest.importorskip("triton", reason="Triton is not installed (pip install triton)")
    from airfast.labels.cuda.backend import CudaBackend

    x, known = (each[:30] for each in SETS[name]())
    told = {"groups": known, "k1": K1, "k2": K2, "min_samples": 3, "cannot_link": name == "ties"}
    here = generate_labels(x, **told)
    monkeypatch.setattr(engine, "resolve", lambda name, device, dbscan: (CudaBackend(DEVICE), "test"))
    there = generate_labels(x, **told)
    assert torch.equal(here.labels, there.labels)
    assert torch.equal(here.core, there.core)
