import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from airfast.ablation.ablate import STUDIES
from benchmarks import quote
from benchmarks.quality import HARSHER

ROOT = Path(__file__).parent.parent


def test_readme_quotes_the_recorded_results():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.quote", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_note_on_harsher_views_goes_with_the_records_that_need_it(monkeypatch):
    assert HARSHER in quote.first_table()
    load = quote.json.loads
    renewed = SimpleNamespace(loads=lambda text: load(text) | {"notes": list(STUDIES["methods"].notes)})
    monkeypatch.setattr(quote, "json", renewed)
    assert HARSHER not in quote.first_table()
