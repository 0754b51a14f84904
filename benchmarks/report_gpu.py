"""The GPU's part of REPORT.md: the recorded runs, what the kernels need, what installs, and what has not run."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"

# Heading, record, and what has to be known to read it.
SECTIONS = (
    (
        "GPU, with RAPIDS",
        "gpu",
        "cuML and cuDF 26.06 beside torch; float32 candidates by torch. `pytest -m gpu` there: cuML's DBSCAN and the "
        "edge graph give the same labels by every metric, the label table is cuDF's, nothing but sizes is copied.",
    ),
    (
        "GPU, torch and Triton alone",
        "gpu-torch",
        "The same card before pairs within eps were looked at together, DBSCAN by the edge graph; `pytest -m gpu`: 24 "
        "passed, 9 skipped for want of FAISS, cuVS, cuML and cuDF.",
    ),
    (
        "Precision of the features that are clustered, on the GPU",
        "feature-precision-cuda",
        "float16 moves no clip to another cluster, bfloat16 does; hence features on a GPU come from float16.",
    ),
    ("Precision of the features that are clustered, on the CPU", "feature-precision-cpu", ""),
    ("Kernels", "kernels", ""),
    ("Extras", "extras", ""),
)
NOT_RUN = (
    "FAISS-GPU and cuVS as sources of float32 candidates: their calls were checked against the sources in the "
    "wheels, and stand-ins with their signatures run in the tests",
    "an RTX 4090: kernels are compiled for it, times on it are arithmetic (docs/gpu-arithmetic.md)",
    "the conda environment and the Docker image, for want of Docker and a conda index",
)


def gpu_section(results: Path = RESULTS) -> str:
    """Markdown, a second-level heading a record that is there, then what has not run."""
    parts = []
    for heading, name, note in SECTIONS:
        recorded = results / f"{name}.md"
        if recorded.exists():
            parts += [f"## {heading}", "", *([note, ""] if note else []), recorded.read_text().strip(), ""]
    parts += ["## What has not run on a card", "", *(f"- {each}" for each in NOT_RUN), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    print(gpu_section())
