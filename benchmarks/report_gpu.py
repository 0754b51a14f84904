"""The GPU's part of REPORT.md: the recorded run, or what has never run on a card."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"

WRITTEN = (
    (
        "exact search: candidates of FAISS-GPU, cuVS or torch, float16 first, certified and rescored",
        "labels/cuda_knn.py, cuda_candidates.py, interop.py",
        "tests/labels/test_cuda_search.py: the CPU's neighbours to the last index, libraries played by stand-ins",
    ),
    (
        "k-reciprocal sets, query expansion and Jaccard join in Triton",
        "labels/kernels.py, cuda_jaccard.py",
        "tests/labels/test_label_cuda.py in Triton's interpreter; test_label_kernels_compile.py compiles for sm_89",
    ),
    (
        "DBSCAN by cuML's components or the edge graph, identical labels",
        "labels/cuda_dbscan.py, interop.py",
        "tests/labels/test_cuda_dbscan.py, with scikit-learn in the place of cuML",
    ),
    (
        "blocks of rows that are halved when memory runs out",
        "labels/cuda_blocks.py",
        "tests/labels/test_cuda_memory.py, with injected faults",
    ),
    (
        "label table and statistics on the device",
        "labels/result.py, statistics.py, interop.py",
        "tests/labels/test_statistics.py, with pandas in the place of cuDF",
    ),
    (
        "proof that nothing but sizes is copied to the host",
        "bench/copies.py",
        "tests/bench/test_copies.py on made-up traces; tests/labels/test_cuda_host_reads.py counts what is asked for",
    ),
    (
        "the bench below",
        "bench/gpu.py, benchmarks/gpu.py",
        "tests/bench/test_gpu.py runs all of it on hardly any data on the CPU",
    ),
)

# Read in the unpacked wheels; nothing of them was run.
CHECKED = (
    (
        "faiss-gpu 1.15.1",
        "faiss/contrib/torch_utils.py: torch_replacement_knn_gpu",
        "knn_gpu(res, xq, xb, k, D=None, I=None, metric, device=-1, use_cuvs=False); contiguous float32, float16 or "
        "bfloat16 tensors of one type; on torch's current stream; float32 and int64 out",
    ),
    (
        "faiss-gpu 1.15.1",
        "faiss/swigfaiss.py: StandardGpuResources, get_num_gpus",
        "setTempMemory(self, size), setPinnedMemory(self, size), get_num_gpus()",
    ),
    (
        "cuvs-cu13 26.6.0, 26.10.0",
        "cuvs/neighbors/brute_force/brute_force.pyx",
        "build(dataset, metric, metric_arg, resources), search(index, queries, k, neighbors=None, distances=None, "
        "resources=None, prefilter=None); float32 or float16 in, int64 and float32 out, by the CUDA array interface",
    ),
    (
        "cuvs-cu13 26.10.0",
        "cuvs/common/resources.pyx; cuvs/distance/distance.pyx",
        "Resources(stream=None).sync(); resources that are given have to be synchronised; inner_product is a metric",
    ),
    (
        "cuml-cu13 26.6.0, 26.10.0",
        "cuml/cluster/dbscan.pyx",
        "DBSCAN(*, eps, min_samples, metric, algorithm, verbose, max_mbytes_per_batch, output_type, "
        "calc_core_sample_indices), fit(X, out_dtype); float32 and float64 in C order; eps is cast to float32; the "
        "handle is synchronised before fit returns",
    ),
    (
        "cuml-cu13 26.10.0",
        "cuml/internals/validation.py: check_array; cuml/__init__.py: _setup_cupy",
        "objects with a CUDA array interface are taken without a copy; importing sets CuPy's allocator to RMM's",
    ),
    (
        "cudf-cu13 26.10.2",
        "cudf/core/dataframe.py, core/groupby/groupby.py, core/column/column.py",
        "signatures only: columns from the CUDA array interface, groupby(as_index), agg(func), to_parquet(path, index)",
    ),
    (
        "torch 2.13.0",
        "torch.mm with out_dtype",
        "declared; its CPU refuses it: there products of float16 are float32's",
    ),
)


def gpu_section(results: Path = RESULTS) -> str:
    """Markdown under a second-level heading: gpu.md where a run was recorded, otherwise what there is instead."""
    recorded = results / "gpu.md"
    if (results / "gpu.json").exists() and recorded.exists():
        return f"## GPU\n\n{recorded.read_text().strip()}\n"
    return "\n".join(
        [
            "## GPU: what has never run on a card",
            "",
            "No GPU could be had. The whole CUDA path is written and **has never run on a card**; what holds it up:",
            "",
            "| what is written | where (in airfast/) | what was run instead |",
            "|---|---|---|",
            *(f"| {what} | `{where}` | {tests} |" for what, where, tests in WRITTEN),
            "",
            "Calls into libraries were checked against the sources in these wheels, unpacked and read, not imported:",
            "",
            "| wheel | file | what was checked |",
            "|---|---|---|",
            *(f"| {wheel} | `{file}` | {what} |" for wheel, file, what in CHECKED),
            "",
            "Not known, therefore: every speed and every memory figure; whether copies are as few as the CPU suggests;",
            "and the targets: a stage of at most 1.2 × FAISS's exact float32 search at N ≥ 100,000, below 1 × with",
            "float16 candidates; at most 15 ms at 8,260 × 2,048, and 200 × faster than the field's; 1,000,000 ×",
            "256 within 60 s and 24 GB.",
            "",
            "Not readable in a wheel: whether FAISS and cuVS add up in float32 proper (the search checks their values",
            "against exact ones and distrusts a row where they are off), and how cuML sizes its batches (taken from an",
            "older source).",
            "",
            "The second command is meant to take less than eight minutes, and what it writes replaces this section:",
            "",
            "```",
            "python -m pytest -m gpu",
            "python -m benchmarks.gpu",
            "```",
            "",
        ]
    )


if __name__ == "__main__":
    print(gpu_section())
