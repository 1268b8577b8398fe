"""Settings as Python files: read one, write one with every setting, print what is in force."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from traitlets import TraitError
from traitlets.config import Application, Configurable

from tmpnb.core.secret_names import VARIABLES
from tmpnb.errors import ConfigError
from tmpnb.settings import flags
from tmpnb.system.files import plain_file
from tmpnb.system.files.plain_file import FileTooLargeError
from tmpnb.system.files.plain_text import refuse_others
from tmpnb.system.files.secret_file import BY_FILE

LARGEST = 10 * 1024 * 1024  # bytes of such a file
NOT_SETTINGS = frozenset({"generate_config", *Application.class_trait_names(config=True)})


def is_there(path: Path) -> bool:
    """Return whether there is such a file.

    Raises:
        ConfigError: Its directory does not tell.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise ConfigError(f"{path}: cannot be read: {plain_file.denied(error)}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def load(application: Application, path: Path) -> None:
    """Read the operator's file into `application`.

    Raises:
        ConfigError: It cannot be read, its Python fails, or one of its values cannot be; in one
            line.
    """
    # Below its decorator, which would print more than one line and exit.
    read = Application.load_config_file.__wrapped__  # type: ignore[attr-defined]  # set by functools.wraps
    try:
        refuse_others(plain_file.read(path, LARGEST))  # Python would speak of null bytes
    except FileTooLargeError as error:
        raise ConfigError(f"{path}: {error.strerror}, so no file of settings") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        read(application, path.name, str(path.parent.resolve()))
    except TraitError as error:
        raise ConfigError(f"{path}: {flags.in_words(str(error))}") from error
    except Exception as error:  # the operator's own Python runs here
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from error


def write(path: Path, text: str) -> None:
    """Write a file that does not exist yet.

    Raises:
        ConfigError: It exists or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists; move it away, or name another with --config") from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def in_force(*configurables: Configurable) -> str:
    """Return all settings as a config file; of secrets only whether they are set."""
    lines = []
    for configurable in configurables:
        names = set(configurable.class_trait_names(config=True)) - NOT_SETTINGS
        owner = type(configurable).__name__
        lines += [f"c.{owner}.{name} = {getattr(configurable, name)!r}" for name in sorted(names)]
    variables = [name for plain in VARIABLES for name in (plain, f"{plain}{BY_FILE}")]
    lines += [f"# {n} is {'set' if os.environ.get(n) else 'not set'}" for n in variables]
    return "\n".join(lines)
