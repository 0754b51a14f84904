"""What the records of a run hold; those of older versions may lack what has a default."""

from pydantic import ConfigDict, Field

from airfast.record import Schema

Number = int | float | None
Figures = dict[str, Number]


class SplitSchema(Schema):
    """``split.json``."""

    data: str | None
    digest: dict[str, str] = Field(default_factory=dict)
    lacking: list[str] = Field(default_factory=list)
    train: list[str]
    test: list[str]


class EnvironmentSchema(Schema):
    """``environment.json``, as :func:`airfast.device.describe_machine` gives it."""

    airfast: str = ""
    python: str = ""
    torch: str = ""
    numpy: str = ""
    device: str = ""
    processor: str = ""
    system: str = ""


class EpochSchema(Schema):
    """A line of ``metrics.jsonl``: what every method logs, and its own figures beside it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number | Figures] = Field(init=False)

    epoch: int = Field(ge=1)
    lr: float
    seconds: dict[str, float] = Field(default_factory=dict)
    at_work: dict[str, list[float]] = Field(default_factory=dict)
    test: dict[str, Number | list[list[int]]] = Field(default_factory=dict)


class ScoresSchema(Schema):
    """The scores of a seed."""

    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    recall: list[float | None] = Field(default_factory=list)
    confusion: list[list[int]] = Field(default_factory=list)


class SpreadSchema(Schema):
    """A figure over seeds."""

    mean: float
    sd: float | None
    interval_95: tuple[float, float] | list[float] | None


class RowSchema(Schema):
    """A row of a table."""

    features: str
    probe: str
    scores: list[ScoresSchema]
    accuracy: SpreadSchema
    macro_f1: SpreadSchema
    balanced_accuracy: SpreadSchema
    recall: list[float | None]
    confusion: list[list[int]]
    fraction: float | None = None
    each: int | None = None
    clips: float | None = None


class EvaluationSchema(Schema):
    """``evaluate-*.json``."""

    airfast: str = ""
    torch: str = ""
    machine: str = ""
    protocol: str = ""
    set: str | None = None
    synthetic: bool = False
    split: str = ""
    train_clips: int = 0
    test_clips: int = 0
    classes: list[str]
    varies_over_seeds: str = ""
    notes: list[str] = Field(default_factory=list)
    rows: list[RowSchema] = Field(min_length=1)
