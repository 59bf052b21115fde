"""Rejects credentials in the configuration, because the configuration is saved with the results."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from deit.config.errors import ConfigError, invalid

NAMED_SO = re.compile(
    r"(key|token|secret|passw(or)?d|passphrase|credential|webhook|cookie|bearer|jwt)s?(?![a-z])"
    r"|(^|_)(pass|auth|pat|dsn)(_|$)|_pwd$",
    re.IGNORECASE,
)
"""Names of environment variables that hold credentials."""
SHAPED_SO = re.compile(
    r"\bhf_(?:(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{8,}|[A-Za-z0-9]{24,})"  # Hugging Face
    r"|\bsk-[\w-]{16,}"  # OpenAI, Anthropic
    r"|\bgh[opsur]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{16,}"  # GitHub, GitLab
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[\w-]{30,}|\bxox[abprs]-[\w-]{10,}"  # AWS, Google, Slack
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\."  # JSON web tokens
    r"|://[^/\s:@]+:[^/\s@]+@"  # a URL with a password
    r"|^[0-9a-f]{40}$|-----BEGIN [A-Z ]*PRIVATE KEY"  # Weights & Biases; PEM
)
"""Values that are credentials, whatever they are called."""
SHORTEST = 8  # letters of a credential that is looked for inside other values: a shorter one may be there by chance
WITHOUT = ("hydra.runtime", "hydra.help", "hydra.hydra_help", "hydra.job.env_set")
"""Parts that describe the machine and the program, and one that is rejected as a whole."""
FREE = "free of secrets because it is saved with the results"
ADVICE = "Leave it out and export the secret as an environment variable: a run inherits it"


class SecretError(ConfigError):
    """A credential would become part of the configuration.

    source: The interpolation that reads it.
    """

    def __init__(self, source: str) -> None:
        super().__init__(invalid("a configuration", FREE, source, ADVICE))
        self.source = source


def register() -> None:
    """Replace OmegaConf's ``oc.env`` by one that returns no credential; other resolvers cannot read the environment."""
    OmegaConf.register_new_resolver("oc.env", environment_variable, replace=True)


def environment_variable(name: str, *default: str | None) -> str | None:
    """Return the value of an environment variable, as ``oc.env`` does.

    Raises:
        SecretError: If its name or its value looks like a credential.
    """
    if NAMED_SO.search(name) or SHAPED_SO.search(os.environ.get(name, "")):
        raise SecretError(f"${{oc.env:{name}}}, which looks like one")
    return oc.env(name, *default)


def problems(config: DictConfig) -> Iterator[str]:
    """Yield a problem for each key of a composed configuration that holds a credential, interpolations resolved."""
    secrets = _values(os.environ)
    found: dict[str, str] = {}
    for key, value in _leaves(config, ""):
        if isinstance(value, SecretError):
            found[key] = value.source
        elif SHAPED_SO.search(value) or any(secret in value for secret in secrets):
            found[key] = "a value that looks like one"
    own = {key: source for key, source in found.items() if not key.startswith("hydra.")}
    for key, source in (own or dict(list(found.items())[:1])).items():  # Hydra's repeat what stands elsewhere
        yield invalid(key, FREE, source, ADVICE)


def _values(environment: Mapping[str, str]) -> frozenset[str]:
    """Values of the environment that are credentials by the name of their variable."""
    return frozenset(
        value
        for name, value in environment.items()
        if NAMED_SO.search(name) and len(value) >= SHORTEST and not value.isdecimal() and not _is_path(value)
    )


def _is_path(value: str) -> bool:
    return value.startswith(("/", "~", "."))


def _leaves(node: DictConfig | ListConfig, prefix: str) -> Iterator[tuple[str, str | SecretError]]:
    """Every value below ``node`` by its key; a `SecretError` for one that would be read from a secret variable."""
    either: Any = node  # a mapping or a list, which are read alike
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        path = f"{prefix}{key}"
        held = either._get_node(key)
        if path in WITHOUT or held is None or held._is_missing():
            continue
        try:
            value = either[key]
        except OmegaConfBaseException as error:
            if (secret := secret_in(error)) is not None:
                yield path, secret
            continue
        if isinstance(value, (DictConfig, ListConfig)):
            if not value._is_none():
                yield from _leaves(value, f"{path}.")
        elif isinstance(value, str):
            yield path, value


def secret_in(error: BaseException) -> SecretError | None:
    """Return the `SecretError` that caused ``error``, or None."""
    current: BaseException | None = error
    while current is not None and not isinstance(current, SecretError):
        current = current.__cause__ or current.__context__
    return current
