"""FIELD=VALUE settings applied to frozen dataclass configurations, for `--set` and for Python."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, TypeVar, cast

from amr_edge.errors import ConfigError

Config = TypeVar("Config")
NOTHING_RENAMED: Mapping[str, str] = MappingProxyType({})


def _need(condition: bool, sentence: str) -> None:  # noqa: FBT001
    if not condition:
        raise ConfigError(sentence)


def override(
    config: Config, settings: Mapping[str, object] | Sequence[str], *, renamed: Mapping[str, str] = NOTHING_RENAMED
) -> Config:
    """A copy of `config` with {"finetune.optim.epochs": 30} or "finetune.optim.epochs=30" applied, all at once.

    Settings that fit only together may come in any order; of two of the same field the last counts.

    Args:
        config: A frozen dataclass, whose fields may be dataclasses.
        settings: Fields and values, or FIELD=VALUE; fields of groups as GROUP.FIELD. A value that is text is parsed as
            the type of the present one.
        renamed: Earlier names of the outermost fields -> the present ones.

    Raises:
        ConfigError: If a field does not exist or a value does not fit it; the setting is named as it was given, because
            two groups may have a field of that name.

    >>> from amr_edge.preprocess import PrepareConfig
    >>> override(PrepareConfig(), ["frames=32"]).frames
    32
    """
    pairs = settings if isinstance(settings, Mapping) else parse_settings(settings)
    return cast("Config", _override(config, [(name.split("."), name, value) for name, value in pairs.items()], renamed))


def parse_settings(texts: Sequence[str]) -> dict[str, object]:
    """The fields that `--set FIELD=VALUE` gives; of two of the same field the last counts.

    Raises:
        ConfigError: If one has no "=".

    >>> parse_settings(["finetune.optim.epochs=30"])
    {'finetune.optim.epochs': '30'}
    """
    for text in texts:
        _need("=" in text, f"a setting is FIELD=VALUE, got '{text}'")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _override(config: Any, settings: Sequence[tuple[list[str], str, object]], renamed: Mapping[str, str]) -> Any:
    """Apply settings, each with what is left of the way to its field, its whole name and its value."""
    types = {f.name: f.type for f in fields(config)}
    names = list(types)
    own: dict[str, object] = {}
    inner: dict[str, list[tuple[list[str], str, object]]] = {}
    changes: dict[str, Any] = {}
    for written, whole, value in settings:
        path = [renamed.get(written[0], written[0]), *written[1:]]
        if path[0] not in names:
            close = get_close_matches(path[0], names, n=1)
            meant = f"; did you mean '{close[0]}'" if close else ""
            raise ConfigError(f"there is no setting '{whole}'{meant}; the fields here are {', '.join(names)}")
        current = getattr(config, path[0])
        if types[path[0]] in (float, "float") and type(current) is int:
            current = float(current)  # as JSON or a caller may write it
        if len(path) > 1:
            _need(is_dataclass(current), f"there is no setting '{whole}'; '{path[0]}' has no fields")
            inner.setdefault(path[0], []).append((path[1:], whole, value))
            continue
        _need(not is_dataclass(current), f"'{whole}' is a group; set one of its fields: {_names(current)}")
        changes[path[0]], own[whole] = _parse(current, value, whole), value
    changes |= {name: _override(getattr(config, name), deeper, {}) for name, deeper in inner.items()}
    try:
        return replace(config, **changes)
    except ConfigError as cause:
        if not own or any(whole in str(cause) for whole in own):
            raise
        raise ConfigError(f"{', '.join(f'{whole}={_text(value)}' for whole, value in own.items())}: {cause}") from cause


def _names(config: Any) -> str:
    return ", ".join(f.name for f in fields(config)) if is_dataclass(config) else ""


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _parse(current: Any, value: object, whole: str) -> Any:
    """The value as the type of the present one: text is parsed, a number may stand for a float."""
    kind: Any = type(current)
    try:
        if kind is tuple:
            parts = (
                value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
            )
            return tuple(_parse(current[0], part, whole) for part in parts)
        number = {int: Integral, float: Real}.get(kind, kind)
        if isinstance(value, str) or (isinstance(value, number) and not (isinstance(value, bool) and kind is not bool)):
            return kind(value)
    except ValueError as cause:
        raise ConfigError(f"'{whole}' expects {kind.__name__} like {current!r}, got '{value}'") from cause
    raise ConfigError(f"'{whole}' expects {kind.__name__} like {current!r}, got '{_text(value)}'")
