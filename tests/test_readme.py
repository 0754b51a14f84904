import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.main import get_command

from airfast.ablation.ablate import STUDIES
from airfast.cli.app import app
from airfast.config import load_config
from benchmarks import quote
from benchmarks.quality import HARSHER

ROOT = Path(__file__).parent.parent


def test_readme_quotes_the_recorded_results(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["quote", "--check"])
    quote.main()  # ends with a line that says what is behind


def test_the_note_on_harsher_views_goes_with_the_records_that_need_it(monkeypatch):
    assert HARSHER in quote.first_table()
    load = quote.json.loads
    renewed = SimpleNamespace(loads=lambda text: load(text) | {"notes": list(STUDIES["methods"].notes)})
    monkeypatch.setattr(quote, "json", renewed)
    assert HARSHER not in quote.first_table()


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def written_commands():
    """Every ``airfast …`` line of README and the pages, with the file it stands in."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "docker" / "README.md"]
    for page in pages:
        fenced = False
        for line in page.read_text().splitlines():
            fenced ^= line.startswith("```")
            found = [line] if fenced else re.findall(r"`(airfast [^`]*)`", line)
            for each in found:
                command = re.search(r"\bairfast ((?!\.|[0-9]).*)", each.partition("  #")[0].partition(" && ")[0])
                if command and (not fenced or each.startswith("airfast ")):
                    yield page.name, command[1].strip()


@pytest.mark.parametrize(("page", "line"), list(written_commands()))
def test_every_command_that_is_written_down_can_be_typed(page, line):
    """Each parses down to its options; placeholders stand for what a user would put there."""
    words = shlex.split(line.replace("…", "").replace("[", " ").replace("]", " ") if "modalities" not in line else line)
    command = get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, (page, line)
        command, words = command.commands[words[0]], words[1:]
    known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, (page, line)
    settings = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "-o" and "=" in words[i + 1]]
    concrete = tuple(each for each in settings if "|" not in each and not each.endswith("="))
    method = words[words.index("--method") + 1] if "--method" in words else "air"
    load_config(overrides=concrete, method=method.partition("|")[0])
