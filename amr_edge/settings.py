"""FIELD=VALUE settings applied to frozen dataclass configurations, for `--set` and for Python."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, TypeVar, cast

from amr_edge.errors import ConfigError

Config = TypeVar("Config")
NOTHING_RENAMED: Mapping[str, str] = MappingProxyType({})


def _need(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise ConfigError(sentence)


def override(config: Config, settings: Sequence[str], *, renamed: Mapping[str, str] = NOTHING_RENAMED) -> Config:
    """A copy of `config` with "finetune.optim.epochs=30"-like settings applied, all at once.

    Settings that fit only together may come in any order; of two of the same field the last counts.

    Args:
        config: A frozen dataclass, whose fields may be dataclasses.
        settings: FIELD=VALUE, fields of groups as GROUP.FIELD; a value is parsed as the type of the present one.
        renamed: Earlier names of the outermost fields -> the present ones.

    Raises:
        ConfigError: If a field does not exist or a value does not fit it; the setting is named as it was given, because
            two groups may have a field of that name.

    >>> from amr_edge.preprocess import PrepareConfig
    >>> override(PrepareConfig(), ["frames=32"]).frames
    32
    """
    for setting in settings:
        _need("=" in setting, f"a setting is FIELD=VALUE, got '{setting}'")
    parsed = [(setting.partition("=")[0].split("."), setting) for setting in settings]
    return cast("Config", _override(config, parsed, renamed))


def _override(config: Any, settings: Sequence[tuple[list[str], str]], renamed: Mapping[str, str]) -> Any:
    """Apply settings, each with what is left of the way to its field."""
    names = [f.name for f in fields(config)]
    own: dict[str, str] = {}
    inner: dict[str, list[tuple[list[str], str]]] = {}
    changes: dict[str, Any] = {}
    for written, setting in settings:
        path = [renamed.get(written[0], written[0]), *written[1:]]
        whole, _, text = setting.partition("=")
        if path[0] not in names:
            close = get_close_matches(path[0], names, n=1)
            meant = f"; did you mean '{close[0]}'" if close else ""
            raise ConfigError(f"there is no setting '{whole}'{meant}; the fields here are {', '.join(names)}")
        current = getattr(config, path[0])
        if len(path) > 1:
            _need(is_dataclass(current), f"there is no setting '{whole}'; '{path[0]}' has no fields")
            inner.setdefault(path[0], []).append((path[1:], setting))
            continue
        _need(not is_dataclass(current), f"'{whole}' is a group; set one of its fields: {_names(current)}")
        changes[path[0]], own[whole] = _parse(current, text, whole), setting
    changes |= {name: _override(getattr(config, name), deeper, {}) for name, deeper in inner.items()}
    try:
        return replace(config, **changes)
    except ConfigError as cause:
        if not own or any(whole in str(cause) for whole in own):
            raise
        raise ConfigError(f"{', '.join(own.values())}: {cause}") from cause


def _names(config: Any) -> str:
    return ", ".join(f.name for f in fields(config)) if is_dataclass(config) else ""


def _parse(current: Any, text: str, whole: str) -> Any:
    kind: Any = type(current)
    try:
        if kind is tuple:
            return tuple(type(current[0])(part) for part in text.split(","))
        return kind(text)
    except ValueError as cause:
        raise ConfigError(f"'{whole}' expects {kind.__name__} like {current!r}, got '{text}'") from cause
