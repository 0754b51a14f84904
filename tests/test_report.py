import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_report_is_what_the_results_give():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.report", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
