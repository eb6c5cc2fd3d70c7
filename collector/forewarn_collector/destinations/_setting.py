"""The table of a destination with a profile in collector.toml."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model, field_validator

from forewarn_checks.base import Severity
from forewarn_collector.destinations._answers import web_address
from forewarn_collector.destinations._profile import Option, Profile
from forewarn_collector.destinations._template import Word
from forewarn_collector.tickets import Progress

Maps = Mapping[str, Mapping[str, int | str]]
_KEYS = {
    "priority": ("P1", "P2", "P3", "P4", "P5"),
    "severity": tuple(str(severity) for severity in Severity),
}


class Setting(BaseModel):
    """The table of a destination with a profile; the profile adds its own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr = Field(description="Where the system is, without the path of its API.")
    maps: Maps = Field(
        default_factory=dict,
        validate_default=True,
        description='What it calls our priorities where it differs, e.g. {priority = {P1 = "1"}}.',
    )

    @field_validator("url")
    @classmethod
    def _address(cls, url: SecretStr) -> SecretStr:
        return web_address(url)


def setting_of(profile: Profile) -> type[Setting]:
    """Return the model of a profile's table: its own options beside url and maps."""
    options = {name: _field(option) for name, option in profile.options.items()}
    if profile.answers is not None:
        options["states"] = (
            Mapping[str, Progress],
            Field(
                default_factory=dict,
                description="What its states mean where they are not the usual ones, e.g. "
                '{"In review" = "acknowledged"}; open, acknowledged or resolved.',
            ),
        )
    whole = field_validator("maps", mode="after")(_check_of_maps(profile))
    model: type[Setting] = create_model(
        f"{profile.kind}_setting",
        __base__=Setting,
        __validators__={"_whole_maps": whole},
        __doc__=profile.help,
        **options,
    )
    return model


def _field(option: Option) -> Any:  # what pydantic takes for one: a type, and what it is for
    value = option.example if option.default is None else option.default
    kind = SecretStr if option.secret else type(value)
    if option.default is not None:
        return kind, Field(default=option.default, description=option.help)
    if option.optional:
        return kind | None, Field(default=None, description=option.help, examples=[option.example])
    return kind, Field(description=option.help, examples=[option.example])


def _check_of_maps(profile: Profile) -> Callable[[Maps], Maps]:
    """Return the check that every map is known and says all it must."""

    def check(maps: Maps) -> Maps:
        for name in set(maps) - set(profile.maps):
            known = ", ".join(profile.maps) or "none"
            raise ValueError(f"{name} is no map of {profile.kind}; there are: {known}")
        for name, one in profile.maps.items():
            given = {**one.values, **maps.get(name, {})}
            lacking = [key for key in _KEYS[one.of] if key not in given]
            if lacking:
                raise ValueError(f"{name} must say what {', '.join(lacking)} are called there")
            if set(given) - set(_KEYS[one.of]):
                raise ValueError(f"{name} may only hold {', '.join(_KEYS[one.of])}")
        return maps

    return check


def own_words(profile: Profile, config: Setting) -> dict[str, Word]:
    """Return the options as words.  Secrets go into requests and nowhere else."""
    words: dict[str, Word] = {}
    for name in profile.options:
        value = getattr(config, name)
        words[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    return words


def states_of(profile: Profile, config: Setting) -> dict[str, Progress]:
    """Return what the states of the other system mean, by their lower-case names."""
    own: Mapping[str, Progress] = getattr(config, "states", {})
    usual = profile.answers.states if profile.answers else {}
    return {name.lower(): meant for name, meant in {**usual, **own}.items()}


def mapped(profile: Profile, config: Setting, words: Mapping[str, Word]) -> dict[str, Word]:
    """Return what the other system calls the priority and severity that `words` say."""
    mapped: dict[str, Word] = {}
    for name, one in profile.maps.items():
        values = {**one.values, **config.maps.get(name, {})}
        mapped[name] = values.get(str(words[one.of]))
    return mapped
