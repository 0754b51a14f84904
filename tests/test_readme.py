import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_readme_quotes_the_recorded_results():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quote", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
