"""What goes in and out: files, tensors, the table, and one clear line for every wrong input."""

import numpy as np
import pandas as pd
import pytest
import torch
from label_sets import FEATURES
from safetensors.torch import save_file

from airfast.errors import InputError
from airfast.labels import generate_labels, load_features

X = FEATURES["fewer than k1"]()


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "a.npy", X)
    np.savez(tmp_path / "a.npz", features=X, other=X[:1])
    np.savez(tmp_path / "one.npz", anything=X)
    np.savez(tmp_path / "two.npz", p=X, q=X)
    save_file({"features": torch.from_numpy(X)}, str(tmp_path / "a.safetensors"))
    pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])]).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"features": list(X)}).to_parquet(tmp_path / "list.parquet")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "broken.npz").write_bytes(b"not a zip")
    (tmp_path / "a.csv").write_text("1,2\n")
    return tmp_path


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "one.npz", "a.safetensors", "a.parquet", "list.parquet"])
def test_every_format_reads_the_same(files, name):
    np.testing.assert_array_equal(load_features(files / name), X)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.npy", "no such file"),
        ("empty.npy", "the file is empty"),
        ("broken.npz", "cannot be read as npz"),
        ("a.csv", r"expected one of .npy, .npz, .safetensors, .parquet, found '.csv'"),
        ("two.npz", "expected one array or one named 'features', found p, q"),
    ],
)
def test_a_bad_file_is_named(files, name, says):
    with pytest.raises(InputError, match=f"{name}: {says}") as error:
        load_features(files / name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [">f4", ">f8", "<f8", np.longdouble, np.float16])
def test_floats_of_every_kind_are_taken(tmp_path, kind):
    np.save(tmp_path / "a.npy", X.astype(kind))
    atol = 1e-2 if kind is np.float16 else 0
    np.testing.assert_allclose(load_features(tmp_path / "a.npy"), X, atol=atol)
    same = generate_labels(X.astype(kind)).labels
    assert kind is np.float16 or torch.equal(same, generate_labels(X).labels)


def test_a_masked_array_is_refused():
    with pytest.raises(InputError, match="features: expected an array, found a masked one, whose mask would be lost"):
        generate_labels(np.ma.masked_less(X, -1))


@pytest.mark.parametrize("name", ["id", None])
def test_the_index_of_a_table_is_no_feature(tmp_path, name):
    table = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    table.index = pd.Index(2 * np.arange(len(X)), name=name)
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=rf"a\.parquet: column '{name or '__index_level_0__'}' is the index of the ta"):
        load_features(tmp_path / "a.parquet")
    table.rename(columns=str).assign(features=list(X))[["features"]].to_parquet(tmp_path / "b.parquet")
    np.testing.assert_array_equal(load_features(tmp_path / "b.parquet"), X)  # named among others


def test_labels_are_written_as_the_name_ends_or_not_at_all(tmp_path):
    found = generate_labels(X)
    found.save(tmp_path / "a.parquet")
    found.save(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "a.csv"), pd.read_parquet(tmp_path / "a.parquet"), rtol=1e-6, check_dtype=False
    )
    with pytest.raises(InputError, match=r"a\.npy: expected a name that ends in \.parquet or \.csv"):
        found.save(tmp_path / "a.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.parquet"]


def spoiled(row, value):
    x = X.copy()
    x[row] = value
    return x


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (spoiled(3, np.nan), "features: row 3 holds a NaN or infinite value"),
        (spoiled(5, np.inf), "features: row 5 holds"),
        (spoiled(4, 0.0), "features: row 4 is a zero vector"),
        (X.astype(np.int64), "features: expected a floating dtype, found int64"),
        (torch.ones(3, 2, dtype=torch.int32), "features: expected a floating dtype, found int32"),
        (X[0], r"features: expected a non-empty \(N, D\) array, found shape \(8,\)"),
        (X[:0], "features: expected a non-empty"),
    ],
)
def test_bad_features_are_one_line(features, says):
    with pytest.raises(InputError, match=says) as error:
        generate_labels(features)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"eps": 0.0}, r"eps: expected a value in \(0, 1\] for metric jaccard, found 0.0"),
        ({"eps": 1.5}, r"eps: expected a value in \(0, 1\]"),
        ({"eps": float("nan")}, "eps: expected"),
        ({"metric": "cosine", "eps": 2.5}, r"eps: expected a value in \(0, 2\]"),
        ({"metric": "euclidean", "eps": float("inf")}, "eps: expected a value above 0"),
        ({"metric": "manhattan"}, "metric: expected jaccard, cosine, euclidean, found 'manhattan'"),
        ({"min_samples": 0}, "min_samples: expected at least 1, found 0"),
        ({"k1": 0}, "k1: expected at least 1"),
        ({"knn": "annoy"}, "knn: expected exact, hnsw, ivf, found 'annoy'"),
        ({"memory_mb": 0}, "memory_mb: expected at least 1"),
        ({"backend": "tpu"}, "backend: expected auto, cpu, cuda, found 'tpu'"),
        ({"view": X[:4]}, "view: expected 12 rows as in features, found 4"),
        ({"view": spoiled(2, np.nan)}, "view: row 2 holds"),
        ({"view": (X, X, X)}, "view: expected one array or a pair of arrays, found 3"),
    ],
)
def test_bad_options_are_one_line(options, says):
    with pytest.raises(InputError, match=says):
        generate_labels(X, **options)


def test_cuda_where_there_is_none_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(InputError, match="backend cuda: "):
        generate_labels(X, backend="cuda")
    assert generate_labels(X).reason == "no CUDA device"


def test_too_few_samples_are_noted():
    assert generate_labels(X).notes == ("k1: 12 instead of 30, because there are only 12 samples",)
    assert "agreement_k: 11 instead of 20, because there are only 12 samples" in generate_labels(X, X).notes
    assert generate_labels(FEATURES["clustered"]()).notes == ()


def test_the_table_and_its_file(tmp_path):
    result = generate_labels(FEATURES["clustered"](), FEATURES["clustered"]())
    result.save(tmp_path / "labels.parquet")
    table = pd.read_parquet(tmp_path / "labels.parquet")
    assert list(table.columns) == ["index", "label", "agreement", "core", "cluster_size"]
    np.testing.assert_array_equal(table["label"], result.labels)
    np.testing.assert_array_equal(table["index"], np.arange(len(table)))
    assert list(tmp_path.iterdir()) == [tmp_path / "labels.parquet"]
    size = table[table.label >= 0].groupby("label")["index"].count()
    expected = [size.get(label, 0) for label in table.label]
    np.testing.assert_array_equal(table["cluster_size"], expected)
    assert result.noise_share == (table.label < 0).mean()
    assert set(result.seconds) == {"knn", "encode", "edges", "cluster", "agree"}


def test_an_unwritable_output_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        generate_labels(X).save(tmp_path / "missing" / "labels.parquet")
