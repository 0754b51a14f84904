"""Break a line, run the tests that should notice, and count what went unnoticed. By hand, not in CI.

    python -m benchmarks.mutants            # the named faults, each of which once passed the tests
    python -m benchmarks.mutants --drawn 100 --seed 0

Drawn faults change one operator, number, comparison, truth value or index of the rooms that training, data and
evaluation are made of. Each is run against the tests of its room and those that look at whole runs. A record is kept in
benchmarks/results/mutants.json as it grows, and a run that is stopped goes on where it was.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "results" / "mutants.json"
GOLDEN = "tests/training/test_golden.py"
TESTS = {
    "data": (GOLDEN, "tests/data", "tests/methods/test_cage.py"),
    "evaluate": ("tests/evaluate",),
    "methods/air": (GOLDEN, "tests/methods/air", "tests/training"),
    "methods": ("tests/methods", "tests/training"),
    "models": (GOLDEN, "tests/models", "tests/methods"),
    "training": (GOLDEN, "tests/training", "tests/evaluate/test_supervised.py", "tests/methods/test_cage.py"),
    "runs": ("tests/runs", "tests/training"),
    "config.py": (GOLDEN, "tests/test_config.py", "tests/training", "tests/methods"),
}
DRAWN_FROM = ("data", "evaluate", "training", "methods")
SKIPPED = (
    "data/readers",
    "data/collect.py",
    "data/prepare.py",
    "data/describe.py",
    "data/source.py",
    "data/synthetic.py",
)
LIMIT = 900  # seconds; a fault that never ends is noticed


@dataclass(frozen=True)
class Fault:
    """A change of one place in one file."""

    name: str
    file: str
    old: str
    new: str
    at: int = -1  # offset of ``old`` in the file; −1: the only one there is


AIR, AMDL, STEP = "methods/air/air.py", "methods/air/amdl.py", "training/step.py"
NAMED = [
    Fault(
        "feature extraction leaves eval mode on",
        AIR,
        "    method.train()\n    return {scale: torch.cat",
        "    return {scale: torch.cat",
    ),
    Fault("one view for singles and multi", STEP, "views = [view(", "views = len(method.views) * [view("),
    Fault("nuisance of other clips", AIR, "self.apart[batch]", "self.apart[: len(batch)]"),
    Fault("labels of other clips", AIR, "Targets(self.labels[batch], ", "Targets(self.labels[: len(batch)], "),
    Fault("agreement of other clips", AIR, "self.agreement[batch], ", "self.agreement[: len(batch)], "),
    Fault("HA's head from X's features", AIR, "head.restart(features[scale], ", 'head.restart(features["x"], '),
    Fault(
        "statistics of test clips too",
        "training/pretrain.py",
        "    method = state.method\n",
        "    method = state.method\n"
        "    method.inputs.fit(DeviceClips.from_motion(motion, config.inputs, place).batches(512))\n",
    ),
    Fault("rate dropped an epoch late", "config.py", "epoch >= round(share", "epoch > round(share"),
    Fault("AdamW for Adam", "methods/air/optimiser.py", "torch.optim.Adam(groups", "torch.optim.AdamW(groups"),
    Fault("outliers=drop ignored", AIR, '.outliers == "drop"', '.outliers == "never"'),
    Fault("singletons are one class", AMDL, "clusters + noise.cumsum(0) - 1", "clusters"),
    Fault(
        "batches never shuffled",
        "training/pretrain.py",
        "torch.split(torch.randperm(count, generator=generator, device=place)",
        "torch.split(torch.arange(count, device=place)",
    ),
    Fault(
        "Eq. 1 ignores nuisance",
        AMDL,
        '(seen(features["x"], nuisance), seen(features[appendage], nuisance))',
        '(features["x"], features[appendage])',
    ),
    Fault(
        "clustering ignores nuisance",
        AMDL,
        "clustered(settings, features, nuisance),",
        "clustered(settings, features),",
    ),
    Fault(
        "probes standardised on both sides",
        "evaluate/linear.py",
        "mean, scale = standardisation(train)\n",
        "mean, scale = standardisation(torch.cat([train, test]))\n",
    ),
    Fault(
        "untrained is the trained one",
        "evaluate/frozen.py",
        "begun = initial(encoder.config, encoder.layout).deployed.state_dict()",
        "begun = encoder.state_dict()",
    ),
    Fault(
        "fine-tuning leaves the encoder",
        "evaluate/finetune.py",
        '{"params": list(encoder.parameters()), "lr": ENCODER_RATE}',
        '{"params": list(encoder.parameters()), "lr": 0.0}',
    ),
    Fault(
        "fine-tuning sees no views",
        "evaluate/finetune.py",
        "encoder(views.view(train[index], generator))",
        "encoder(views.whole(train[index]))",
    ),
    Fault(
        "a mirror keeps x",
        "data/augment.py",
        "torch.where(flip[..., 0], -turn[:, :, :1], turn[:, :, :1])",
        "turn[:, :, :1]",
    ),
    Fault(
        "a mirror leaves velocities",
        "data/augment.py",
        "torch.where(flip, clips.index_select(-1, mirror), clips)",
        "torch.cat([torch.where(flip, clips.index_select(-1, mirror), clips)[:, :3], clips[:, 3:]], dim=1)",
    ),
    Fault(
        "kNN not standardised",
        "evaluate/frozen.py",
        "train, test = standardise(features[task.train], features[task.test])",
        "train, test = features[task.train], features[task.test]",
    ),
    Fault("alignment of X with its parts' singles", AIR, "z.detach() for z in", "z for z in"),
    Fault("moments of restarted heads kept", "methods/air/optimiser.py", "moment.zero_()", "pass"),
    Fault("keys that learn", "methods/contrast.py", "key.detach()", "key"),
    Fault(
        "the queue before the loss",
        STEP,
        "        named = method.losses(views, self._batch)\n",
        "        method.losses(views, self._batch)\n"
        "        method.after_step()\n"
        "        named = method.losses(views, self._batch)\n",
    ),
]

HARMLESS = ("strict", "frozen", "digest_size")  # arguments that change no result of a program that is right
SWAPS: dict[type[ast.AST], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*", ast.MatMult: "*",
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.And: "or", ast.Or: "and",
}  # fmt: skip
SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.MatMult: "@",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.And: "and", ast.Or: "or",
}  # fmt: skip


def drawn(count: int, seed: int) -> list[Fault]:
    """Faults drawn without replacement from every place that can be broken."""
    files = [path for room in DRAWN_FROM for path in sorted((ROOT / "airfast" / room).rglob("*.py"))]
    names = [str(path.relative_to(ROOT / "airfast")) for path in files]
    places = [fault for name in names if not name.startswith(SKIPPED) for fault in faults(name)]
    return random.Random(seed).sample(places, count)


def faults(name: str) -> Iterator[Fault]:
    """Every place of a file that a fault can be put in."""
    source = (ROOT / "airfast" / name).read_text(encoding="utf-8")
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.splitlines()

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    def between(left: ast.expr, right: ast.expr, operator: ast.AST) -> Iterator[Fault]:
        sign, swap = SIGNS.get(type(operator)), SWAPS.get(type(operator))
        if sign is None or swap is None or left.end_lineno is None or left.end_col_offset is None:
            return
        low, high = offset(left.end_lineno, left.end_col_offset), offset(right.lineno, right.col_offset)
        at = source.find(sign, low, high)
        if at >= 0:
            yield Fault(f"{name}:{left.end_lineno} {sign} → {swap}", name, sign, swap, at)

    for node in code(ast.parse(source)):
        if isinstance(node, ast.BinOp):
            yield from between(node.left, node.right, node.op)
        elif isinstance(node, ast.Compare):
            yield from between(node.left, node.comparators[0], node.ops[0])
        elif isinstance(node, ast.BoolOp):
            yield from between(node.values[0], node.values[1], node.op)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            at = offset(node.lineno, node.col_offset)
            yield Fault(f"{name}:{node.lineno} a sign", name, "-", "+", at)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            at = offset(node.lineno, node.col_offset)
            old = ast.get_source_segment(source, node) or ""
            new = str(not node.value) if isinstance(node.value, bool) else repr(node.value + 1)
            yield Fault(f"{name}:{node.lineno} {old} → {new}", name, old, new, at)


def code(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes of what is computed: no annotations, and nothing that is raised or asserted."""
    for name, field in ast.iter_fields(tree):
        if name in ("annotation", "returns") or isinstance(tree, ast.Raise | ast.Assert | ast.JoinedStr):
            continue
        if isinstance(tree, ast.keyword) and tree.arg in HARMLESS:
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST):
                yield child
                yield from code(child)


def room_of(file: str) -> str:
    """The room whose tests a fault in a file is run against."""
    return next(room for room in TESTS if file.startswith(room))


def noticed(fault: Fault) -> bool:
    """Whether a test fails with the fault in place."""
    with tempfile.TemporaryDirectory() as place:
        for part in ("airfast", "tests", "benchmarks", "pyproject.toml", "README.md"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(place) / part)
        path = Path(place) / "airfast" / fault.file
        text = path.read_text(encoding="utf-8")
        at = text.index(fault.old) if fault.at < 0 else fault.at
        if fault.at < 0 and text.count(fault.old) != 1:
            raise SystemExit(f"{fault.name}: {fault.old!r} stands {text.count(fault.old)} times in {fault.file}")
        path.write_text(text[:at] + fault.new + text[at + len(fault.old) :], encoding="utf-8")
        call = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            *TESTS[room_of(fault.file)],
        ]
        threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": place, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                call, cwd=place, env={**os.environ, **threads}, capture_output=True, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return True
    return done.returncode == 1


def main() -> None:
    """Run what the record lacks and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", type=int, default=0, help="faults drawn at random, instead of the named ones")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    kind = f"drawn, seed {given.seed}" if given.drawn else "named"
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    known = record.setdefault(kind, {})
    faulty = drawn(given.drawn, given.seed) if given.drawn else NAMED
    for room in sorted({room_of(fault.file) for fault in faulty if fault.name not in known}):
        if noticed(Fault("none", f"{room}" if room.endswith(".py") else f"{room}/__init__.py", "", "", 0)):
            raise SystemExit(f"{room}: its tests fail without any fault")
    for fault in faulty:
        if fault.name not in known:
            known[fault.name] = noticed(fault)
            print("noticed" if known[fault.name] else "SURVIVED", fault.name, flush=True)
            RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    RECORD.with_suffix(".md").write_text(page(record), encoding="utf-8")
    survivors = [name for name, found in known.items() if not found]
    print(f"{kind}: {len(survivors)} of {len(known)} survived", *survivors, sep="\n  ")


def page(record: dict[str, dict[str, bool]]) -> str:
    """How many of each kind were noticed, and which were not."""
    lines = [
        "<!-- generated by `python -m benchmarks.mutants`; do not edit -->",
        "One line broken at a time, the tests of its room run, in a copy. Named: faults that once passed. Drawn: an "
        "operator, number, comparison, truth value or sign of `data/`, `evaluate/`, `training/`, `methods/`.",
        "",
        "| faults | tried | unnoticed | which |",
        "|---|--:|--:|---|",
    ]
    for kind, known in record.items():
        survivors = [f"`{name}`" for name, found in known.items() if not found]
        lines.append(f"| {kind} | {len(known)} | {len(survivors)} | {', '.join(survivors)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
