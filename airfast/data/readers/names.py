"""What the names of a data set's files say: who moves, what is done, and the label."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from airfast.data.readers.clip import Said, SourceClip
from airfast.errors import InputError


@dataclass(frozen=True)
class Named:
    """A data set that is told by its name.

    Attributes:
        layout: of its files.
        pattern: of a clip's path, with the groups label, subject and group; None where files are named by no rule.
        example: such a path.
        labels: what codes stand for; a code that is not there stands for itself.
        only: labels to keep; all if empty.
        leave_out: of paths that are copies of others.
        training: what the paths of the training side hold, where the field has agreed on one; None where it has not.
        families: of groups whose motion resembles that of others; any other is a family of its own.
        fps: frames a second, where the files do not say; None where they do.
    """

    layout: str
    pattern: re.Pattern[str] | None = None
    example: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    leave_out: re.Pattern[str] | None = None
    fps: float | None = None
    training: re.Pattern[str] | None = None
    families: Mapping[str, str] = field(default_factory=dict)

    def family(self, group: str) -> str:
        """The family of a group."""
        return self.families.get(group, group)


EMILYA = Named(
    layout="xsens28",
    pattern=re.compile(r"(?:^|/)(?P<group>[^/]+)/(?P<label>[^/]+)/(?P<subject>[^/]+)/[^/]+\.bvh$", re.IGNORECASE),
    example="PerAction/Walking/Joy/Actor1/clip.bvh",
    leave_out=re.compile(r"zyx\.bvh$", re.IGNORECASE),
)
NTU = Named(
    layout="kinect25",
    pattern=re.compile(r"S\d{3}C\d{3}(?P<subject>P\d{3})R\d{3}(?P<label>A\d{3})"),
    example="S001C002P003R001A013.skeleton",
)
# Those that train in cross-subject: Shahroudy et al., CVPR 2016 (to 40), and Liu et al., TPAMI 2020.
NTU_SUBJECTS = (
    *(1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38),
    *(45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94),
    *(95, 97, 98, 100, 103),
)
# Contents of both Bandai-Namco sets, with turned and mirrored twins beside one another.
BANDAI_FAMILIES = {
    content: family
    for family, contents in {
        "walk": ("walk", "walk-back", "walk-left", "walk-right", "walk-turn-left", "walk-turn-right"),
        "run": ("run", "dash"),
        "wave": ("bye", "byebye", "wave-both-hands", "wave-left-hand", "wave-right-hand"),
        "raise": ("raise-up-both-hands", "raise-up-left-hand", "raise-up-right-hand"),
        "fight": ("punch", "kick", "slash"),
        "dance": ("dance-short", "dance-long"),
    }.items()
    for content in contents
}
DATASETS = {
    "bandai": Named(
        layout="bandai",
        pattern=re.compile(r"dataset-\d_(?P<group>[^_/]+)_(?P<label>[^_/]+)_\d+\.bvh$", re.IGNORECASE),
        example="dataset-1_walk_happy_001.bvh",
        families=BANDAI_FAMILIES,
    ),
    "egbm": Named(layout="kinect25", fps=30.0),
    "ntu-xsub": replace(NTU, training=re.compile("|".join(f"P{each:03d}R" for each in NTU_SUBJECTS))),
    "ntu-xview": replace(NTU, training=re.compile(r"C00[23]P")),
    "ntu-xset": replace(NTU, training=re.compile(r"S\d\d[02468]C")),
    "emilya": EMILYA,
    "emilya4": replace(EMILYA, only=frozenset(("Anger", "Neutral", "Joy", "Sadness"))),
    "kdae": Named(
        layout="perception24",
        pattern=re.compile(r"(?P<subject>[FM]\d{2})(?P<label>SA|SU|[ADFHN])(?P<group>\d)V\d+\.bvh$", re.IGNORECASE),
        example="F01/F01A0V1.bvh",
        labels={
            "A": "angry",
            "D": "disgust",
            "F": "fearful",
            "H": "happy",
            "N": "neutral",
            "SA": "sad",
            "SU": "surprise",
        },
    ),
}


def named_set(name: str) -> Named:
    """A data set by its name; InputError lists those that are known."""
    if name not in DATASETS:
        near = get_close_matches(name.lower(), DATASETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"--dataset {name}: {hint}known are {', '.join(DATASETS)}; other formats are told by their files"
        )
    return DATASETS[name]


def said_by_name(clip: SourceClip, rule: Named, where: str) -> SourceClip | None:
    """The clip with what its name says; None for one that is left out.

    Raises:
        InputError: a name that does not follow the rule.
    """
    if rule.leave_out is not None and rule.leave_out.search(clip.name):
        return None
    if rule.pattern is None:
        return clip
    said = rule.pattern.search(clip.name)
    if said is None:
        raise InputError(f"{where}: expected a name like {rule.example}")
    label = rule.labels.get(said["label"].upper(), said["label"])
    if rule.only and label not in rule.only:
        return None
    family = rule.family(said["group"]) if "group" in said.groupdict() else ""
    side = "" if rule.training is None else "train" if rule.training.search(clip.name) else "test"
    return replace(clip, said=Said(**said.groupdict() | {"label": label, "family": family, "split": side}))
