"""Where tickets go: one public module or one file of `profiles`.  Nothing in here knows rules."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from forewarn_collector.destinations._connector import connector
from forewarn_collector.destinations._profile import Profile, read_profile
from forewarn_collector.tickets import Destination


@cache
def all_destinations() -> dict[str, Destination[Any]]:
    """Return every kind of destination by name.

    Each public module holds one DESTINATION; each file of `profiles` is one.
    """
    found: dict[str, Destination[Any]] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if module.ispkg or module.name.startswith("_"):
            continue
        destination: Destination[Any] = importlib.import_module(
            f"{__name__}.{module.name}"
        ).DESTINATION
        found[destination.kind] = destination
    return found | {kind: connector(profile) for kind, profile in all_profiles().items()}


@cache
def all_profiles() -> dict[str, Profile]:
    """Return every profile by its kind, which is the name of its file."""
    found = {}
    for file in sorted(files(__name__).joinpath("profiles").iterdir(), key=lambda one: one.name):
        if file.name.endswith(".toml"):
            profile = read_profile(file.read_text("utf-8"))
            assert file.name == f"{profile.kind}.toml", file.name
            found[profile.kind] = profile
    return found


def secrets_of(config: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields of a destination that stand in files of their own: ``NAME_file``."""
    return tuple(
        name
        for name, field in config.model_fields.items()
        if name != "url" and SecretStr in (field.annotation, *get_args(field.annotation))
    )


def asked_for(config: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """Return what the table of a destination holds: key, default, what it is for."""
    secrets = secrets_of(config)
    for name, field in config.model_fields.items():
        key = f"{name}_file" if name in secrets else name
        if field.is_required():
            default = "(required)"
        else:
            value = field.get_default(call_default_factory=True)
            default = "" if value is None else str(value)
        yield key, "" if default == "{}" else default, field.description or ""
