"""What the site generates: the configuration from its schema, the commands from themselves."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from typer.main import get_command

from airfast.cli.app import app
from airfast.config import PRESETS, Config, load_config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    for name, make in {"configuration": configuration, "commands": commands}.items():
        mark = f"<!-- {name} -->"
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(make()))
    return markdown


def configuration() -> Iterator[str]:
    """A table a section; for each key its type, its default, and what presets change it to."""
    whole = {name: load_config(name) for name in PRESETS}
    yield from section("", Config, {name: (None, config) for name, config in whole.items()})


def section(prefix: str, schema: type[BaseModel], presets: dict[str, Any]) -> Iterator[str]:
    """The keys of one model, then those of the models within it."""
    default = schema()
    inner: list[tuple[str, type[BaseModel]]] = []
    yield from ("", f"## {prefix or 'top level'}", "", inspect.cleandoc(schema.__doc__ or "").split("\n\n")[0], "")
    yield from ("| key | values | default | presets | |", "|---|---|---|---|---|")
    for name, field in schema.model_fields.items():
        value = getattr(default, name)
        if isinstance(value, BaseModel):
            inner.append((name, type(value)))
            continue
        others = [(p, getattr(config, name)) for p, (_, config) in presets.items()]
        changed = ", ".join(f"{p}: `{other}`" for p, other in others if other != value and p != "small")
        yield f"| `{prefix}{name}` | {kind(field.annotation)} | `{value}` | {changed} | {field.description or ''} |"
    for name, model in inner:
        deeper = {p: (None, getattr(config, name)) for p, (_, config) in presets.items()}
        yield from section(f"{prefix}{name}.", model, deeper)


def kind(annotation: Any) -> str:
    """A type as a person reads it: the choices, or its name."""
    choices = [each for each in get_args(annotation) if isinstance(each, str)]
    if choices:
        return ", ".join(f"`{each}`" for each in choices)
    parts = [kind(each) for each in get_args(annotation) if isinstance(each, type) or get_args(each)]
    return " or ".join(dict.fromkeys(parts)) or getattr(annotation, "__name__", str(annotation))


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield from command("airfast", get_command(app))


def command(name: str, found: Any) -> Iterator[str]:
    """One command, or a group and the commands within it."""
    if hasattr(found, "commands"):
        for word, each in found.commands.items():
            yield from command(f"{name} {word}", each)
        return
    yield from ("", f"## {name}", "", inspect.cleandoc(found.help or ""), "", "| | default | |", "|---|---|---|")
    for each in found.params:
        words = ", ".join(f"`{word}`" for word in (*each.opts, *each.secondary_opts))
        shown = f"`{each.name.upper()}`" if each.param_type_name == "argument" else words
        default = "" if each.default in (None, ()) or callable(each.default) else f"`{each.default}`"
        yield f"| {shown} | {default} | {getattr(each, 'help', None) or ''} |"
