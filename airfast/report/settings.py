"""The configuration of a run: all of it, and what is not as its preset has it."""

from pydantic import BaseModel

from airfast.config import Config, load_config
from airfast.report.markup import Html, element, paragraph, section, table
from airfast.runs.checkpoint import flatten


def configuration(config: Config) -> Html:
    """What differs from the preset first, then every key with the preset's value and its meaning."""
    ours = flatten(config.record())
    preset = flatten(load_config(config.preset, method=config.method).record())
    changed = [key for key in ours if ours[key] != preset[key]]
    about = f"Preset {config.preset}"
    if changed:
        listed = ", ".join(f"{key}={spelt(ours[key])}" for key in changed)
        first = paragraph(
            f"{about}, with {len(changed)} {'settings' if len(changed) > 1 else 'setting'} changed: ",
            element("code", listed),
            ".",
        )
    else:
        first = paragraph(f"{about}, with nothing changed.")
    meanings = descriptions(Config)
    rows = [
        [
            element("strong", f"● {key}") if key in changed else key,
            element("strong", spelt(value)) if key in changed else spelt(value),
            spelt(preset[key]) if key in changed else "as the preset",
            meanings.get(key, ""),
        ]
        for key, value in ours.items()
    ]
    whole = table(
        "Every setting; ● marks those that differ from the preset", ["key", "this run", "preset", "meaning"], rows, 4
    )
    return section(
        "configuration", "Configuration", first, element("details", element("summary", "All settings"), whole)
    )


def spelt(value: object) -> str:
    """A setting as it would be typed."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def descriptions(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """What the schema says of every key, by dotted name."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= descriptions(inner, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field.description or ""
    return found
