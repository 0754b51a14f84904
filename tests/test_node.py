"""What sets up a GPU node agrees with itself: pyproject.toml, environment.yml, docker/."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
CONDA_NAMES = {"torch": "pytorch-gpu", "matplotlib": "matplotlib-base", "cupy-cuda13x": "cupy"}  # where they differ


def conda_pins():
    """Name to version pin of every conda package of environment.yml."""
    lines = [each for each in ENVIRONMENT["dependencies"] if isinstance(each, str)]
    return {re.match(r"[\w-]+", line)[0]: re.sub(r"^[\w-]+", "", line) for line in lines}


def lowest(pin):
    """The lowest version a pin allows."""
    return Version(re.search(r"(?:>=|==?)([\d.]*\d)", str(pin))[1])


def requirements(extra):
    return {each.name: each.specifier for each in map(Requirement, PROJECT["optional-dependencies"][extra])}


def instructions(word):
    return [line.split(maxsplit=1)[1] for line in DOCKERFILE if line.startswith(word + " ")]


def test_the_environment_has_all_that_airfast_asks_for():
    pins = conda_pins()
    for wanted in map(Requirement, PROJECT["dependencies"]):
        pin = pins[CONDA_NAMES.get(wanted.name, wanted.name)]
        assert lowest(pin) in wanted.specifier, wanted.name
    assert lowest(pins["python"]) in Requirement(f"python{PROJECT['requires-python']}").specifier
    assert {"pip": ["-e ."]} in ENVIRONMENT["dependencies"]
    assert ENVIRONMENT["channels"] == ["rapidsai", "conda-forge", "nodefaults"]


def test_the_environment_agrees_with_the_extra_of_the_same_rapids():
    pins = conda_pins()
    for name, specifier in requirements("cuda13").items():
        conda = CONDA_NAMES.get(name, name.removesuffix("-cu13"))
        assert lowest(pins[conda]) in specifier or lowest(specifier) == lowest(pins[conda]), name
    assert pins["rmm"] == pins["cuml"] == pins["cudf"] == pins["cuvs"]


@pytest.mark.parametrize("extra", ["cuda12", "cuda13"])
def test_a_gpu_extra_has_one_release_of_rapids_and_at_most_one_faiss(extra):
    wanted = requirements(extra)
    assert len({str(specifier) for name, specifier in wanted.items() if re.search(r"-cu1\d$", name)}) == 1
    assert "faiss-cpu" not in wanted


def test_what_the_image_copies_exists_and_reaches_the_build():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for copied in instructions("COPY"):
        *sources, _ = [each for each in shlex.split(copied) if not each.startswith("--")]
        assert all((ROOT / each).exists() for each in sources)
        assert set(sources) <= sent


def test_the_image_runs_airfast_unprivileged_and_looks_after_itself():
    assert instructions("ENTRYPOINT") == ['["airfast"]']
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["airfast", "doctor", "--quick"]')
    assert int(instructions("USER")[-1]) > 0
    assert re.fullmatch(r"[\w./-]+:[\w.-]+", instructions("FROM")[0])  # a version, not whatever is newest


def test_compose_builds_that_image_and_asks_for_a_gpu():
    path = ROOT / "docker" / "compose.yaml"
    service = yaml.safe_load(path.read_text())["services"]["airfast"]
    assert (path.parent / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
