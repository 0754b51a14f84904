"""Configurations as they were recorded by older versions, read as those of this one."""

from typing import Any

from airfast.config import MOVED, Config, validate
from airfast.errors import InputError


def as_recorded(settings: dict[str, Any]) -> Config:
    """The configuration that a run has recorded, by whatever version.

    Raises:
        InputError: keys that no version knew, or a schedule that cannot be said any more.
    """
    return validate(renewed(settings) if {"cluster", "amdl"} & settings.keys() else settings)


def renewed(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a version before 0.2 with the keys of this one."""
    old: dict[str, Any] = {name: dict(value) if isinstance(value, dict) else value for name, value in settings.items()}
    train = old["train"]
    share, late = train.pop("lr_drop"), train.pop("lr_late")
    if late != train["lr"] / 10:
        raise InputError(f"train.lr_late={late:g}: recorded by an older version; this one knows drops by ten alone")
    train["drops"] = [share]
    air: dict[str, Any] = {}
    for key, place in MOVED.items():
        section, _, name = key.rpartition(".")
        holder = old[section] if section else old
        if place.startswith("air.") and name in holder:
            air[place.removeprefix("air.")] = holder.pop(name)
    if old["method"] == "umurl":
        old["method"] = "air"
    return old | ({"air": air} if old["method"] == "air" else {})
