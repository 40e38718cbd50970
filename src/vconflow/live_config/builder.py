"""From a document to a configuration, by where the document came from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vconflow.config import Allowances, Config, build, mask, mask_document, parse, unmask
from vconflow.config.expansion import REFERENCE
from vconflow.config.field_types import local_paths
from vconflow.config.findings import Findings
from vconflow.config.redaction import without_values
from vconflow.config.shape import check_shape
from vconflow.errors import ConfigError
from vconflow.live_config.stored_options import stored_options

__all__ = ["Builder"]


class Builder:
    """Knows the environment, and what the file of this replica allows to others.

    Slow, and imports components: its methods are not for the event loop. All raise ConfigError.
    """

    def __init__(self, of_file: Config, env: Mapping[str, str], data_dir: Path) -> None:
        self._env = env
        self._data_dir = data_dir
        self._allowed = self._allowances(of_file)

    def from_file(self, text: str) -> Config:
        """Build what the file says; from now on it allows to others what it uses itself."""
        try:
            config = parse(text, self._env)
        except ConfigError as error:
            # Unlike on the command line, others may read this.
            used = {found["name"] for found in REFERENCE.finditer(text)}
            values = {name: self._env[name] for name in used if name in self._env}
            raise ConfigError(without_values(error.problems, values)) from None
        self._allowed = self._allowances(config)
        return config

    def from_elsewhere(self, document: Any) -> Config:
        """Build a document that came over HTTP or out of the store."""
        return build(document, self._env, self._allowed)

    def completed(self, document: Any, running: Config) -> Config:
        """The same, after putting back the secrets of `running` that it shows masked."""
        findings = Findings()
        check_shape(document, findings)
        findings.raise_errors()
        complete = unmask(document, running.raw, mask(running), findings)
        try:
            config = self.from_elsewhere(complete)
        except ConfigError as error:
            raise ConfigError([*findings.errors, *error.problems]) from None
        findings.raise_errors()
        return config

    def masked(self, document: dict[str, Any]) -> dict[str, Any]:
        """A stored document, which may be none that can be used, without its secrets."""
        return mask_document(document, stored_options(document, self._allowed))

    def without_values(self, error: ConfigError) -> ConfigError:
        """What a component said, which may quote what it was given."""
        values = self._allowed.environment(self._env)
        return ConfigError(without_values(error.problems, values))

    def _allowances(self, of_file: Config) -> Allowances:
        return Allowances.of(of_file.raw, self._env, [self._data_dir, *_paths(of_file)])


def _paths(config: Config) -> Iterator[Path]:
    for section in (config.links, config.storages, config.tracers):
        for component in section.values():
            if component.options is not None:
                yield from (Path(path) for _, path in local_paths(component.options))
