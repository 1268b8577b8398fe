"""`tmpnb proxy`: become the proxy, for those who keep it running apart from the orchestrator."""

from __future__ import annotations

import os
from collections.abc import Callable

from tmpnb.errors import ConfigError
from tmpnb.proxy.choice import settings_of
from tmpnb.proxy.managed import cannot_run
from tmpnb.proxy.ports import require_free
from tmpnb.proxy.token import token_of
from tmpnb.settings.service import Service
from tmpnb.system import open_files
from tmpnb.system.http import listen

Replace = Callable[[str, list[str], dict[str, str]], object]


def become_the_proxy(service: Service, replace: Replace = os.execvpe) -> None:
    """Put the proxy in the place of this process, just as tmpnb itself would start it.

    Args:
        service: The settings of the orchestrator that it is for.
        replace: Does it; does not return.

    Raises:
        ConfigError: It cannot run, or nothing says which token it has.
    """
    token = token_of(service.secrets)
    if token is None:
        raise ConfigError(
            "the proxy and tmpnb share a token: set CONFIGPROXY_AUTH_TOKEN_FILE for both, to one "
            "file, which is made if it is not there, or CONFIGPROXY_AUTH_TOKEN"
        )
    listening = service.listening
    if not listening.port:
        raise ConfigError("--port=0: the proxy has to know the port; choose one for both")
    target = listen.url_of(listening.ip, listening.port)
    settings = settings_of(service.proxy, target, token)
    require_free(settings.places)
    open_files.raise_limit()  # which the proxy inherits
    program, *_ = words = settings.arguments
    try:
        replace(program, words, settings.environment)
    except OSError as error:
        raise ConfigError(cannot_run(program, error)) from error
