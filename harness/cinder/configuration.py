"""A driver's options as Cinder's configuration object, checked by Cinder's own definitions of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from cinder.common import config as cinder_config
from cinder.volume import configuration, driver

from harness.names import did_you_mean

_CONF = cinder_config.CONF


@functools.cache
def prepare() -> None:
    """Read no files and no command line: every option is at its default."""
    _CONF([], project="cinder", default_config_files=[], default_config_dirs=[])
    _register_once()
    for name, value in (("state_path", "/nonexistent"), ("use_stderr", False)):
        if name in _CONF:
            _CONF.set_override(name, value)


def _register_once() -> None:
    """Registering the same options in the same section again changes nothing, but takes most of a driver's setup."""
    register = configuration.BackendGroupConfiguration._ensure_config_values
    known: set[tuple[Any, ...]] = set()

    def ensure(self: Any, options: list[Any]) -> None:
        key = (self.config_group, *[option.dest for option in options])
        if key not in known:
            known.add(key)
            register(self, options)

    configuration.BackendGroupConfiguration._ensure_config_values = ensure


@functools.cache
def options_of_class(cls: type) -> list[Any]:
    """The options that a driver's class has, and those of every driver."""
    own: Any = getattr(cls, "get_driver_options", list)
    return [*own(), *driver.volume_opts, *driver.backup_opts, *driver.image_opts, *driver.fqdn_opts]


def check(cls: type, options: Mapping[str, Any]) -> None:
    """Raise ValueError for an option that the driver does not have, or a value that it does not take."""
    known = {option.dest: option for option in options_of_class(cls)}
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"it has no option {name!r}; {did_you_mean(name, sorted(known))}")
        try:
            known[name].type(value if isinstance(value, (bool, int, float, list, dict)) else str(value))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} = {value!r}: {error}; mend it in the driver's configuration") from None


def make(cls: type, group: str, options: Mapping[str, Any]) -> Any:
    """Cinder's configuration of a driver instance; `group` is the section that it would have in cinder.conf."""
    prepare()
    made = configuration.Configuration(options_of_class(cls), config_group=group)
    _CONF.set_override("volume_backend_name", group, group=group)
    for name, value in options.items():
        _CONF.set_override(name, value, group=group)
    return made
