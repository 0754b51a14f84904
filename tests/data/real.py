"""Where real motion capture lies, if it does: a folder beside the repository that is not part of it."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[3] / "shared" / "data"

needs_bandai1 = pytest.mark.skipif(not (DATA / "bandai1").is_dir(), reason="needs ../shared/data/bandai1")
needs_bandai2 = pytest.mark.skipif(not (DATA / "bandai2").is_dir(), reason="needs ../shared/data/bandai2")
