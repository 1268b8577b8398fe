"""The settings of the program: from flags, a config file and the environment."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from logging import NullHandler
from pathlib import Path
from typing import Any

from traitlets import Bool, Int, Unicode, default
from traitlets.config import Application, Configurable

from tmpnb import __version__
from tmpnb.core.plan import Policy
from tmpnb.errors import ConfigError
from tmpnb.orchestrator.guarded import GuardedSpawner
from tmpnb.orchestrator.launch.launcher import StartSettings
from tmpnb.orchestrator.timing import Timing
from tmpnb.proxy.choice import ProxyChoice
from tmpnb.settings import checks, config_file, flags
from tmpnb.settings.access import AccessSettings
from tmpnb.settings.addresses import AddressSettings
from tmpnb.settings.advice.one_origin import advice
from tmpnb.settings.advice.weak_tokens import weak_tokens
from tmpnb.settings.branding import Branding, templates_in
from tmpnb.settings.culling import CullingSettings, seconds
from tmpnb.settings.env_vars import Secrets
from tmpnb.settings.logs import LogSettings
from tmpnb.settings.service import Service
from tmpnb.settings.told import tell
from tmpnb.spawners import PoolIdentity, Spawner, spawner_class, spawner_names
from tmpnb.web import assets, cors

CONFIG_FILE = "tmpnb_config.py"


def _port(value: int, help: str) -> Any:
    return Int(value, min=0, max=65535, help=help).tag(config=True)


class Tmpnb(AccessSettings, AddressSettings, CullingSettings, LogSettings, Application):
    """Temporary notebooks on demand: a pool of ready notebook servers behind one URL."""

    name = "tmpnb"
    version = __version__
    description = __doc__ or ""
    aliases = flags.aliases()
    flags = flags.switches()
    raise_config_file_errors = True
    service: Service | None = None  # that is to run, once `start` has made it

    config_file = Unicode(CONFIG_FILE, help="Python file with settings, read if it exists.").tag(
        config=True
    )
    generate_config = Bool(False, help="Write a config file and exit.").tag(config=True)
    spawner = Unicode(
        "docker", help="What runs the notebook servers: docker, local (no isolation), or fake."
    ).tag(config=True)
    pool_size = Int(
        10, min=1, max=100_000, help="Maximum number of servers, including those in use."
    ).tag(config=True)
    min_ready = Int(0, min=0, help="Unclaimed servers to keep ready; 0 fills the pool.").tag(
        config=True
    )
    pool_name = Unicode(
        "",
        help="Name that distinguishes this pool's containers from others. Default: derived "
        "from the image.",
    ).tag(config=True)
    ip = Unicode("127.0.0.1", help="Address the orchestrator listens on.").tag(config=True)
    port = _port(9999, "Port the orchestrator listens on, for the proxy.")
    admin_ip = Unicode(
        "127.0.0.1",
        help="Address of the admin API; any address other than loopback requires ADMIN_AUTH_TOKEN.",
    ).tag(config=True)
    admin_port = _port(10000, "Port of the admin API.")
    user_length = Int(12, min=8, max=64, help="Length of the random id in /user/<id>/.").tag(
        config=True
    )
    use_tokens = Bool(
        True, help="No effect, accepted for compatibility: every server has a secret token."
    ).tag(config=True)
    static_files = Unicode(
        "", help="No effect, accepted for compatibility: servers serve their own files."
    ).tag(config=True)
    allow_origin = Unicode(
        "", help="Origins whose pages may read every response: https://a.example,https://… or *."
    ).tag(config=True)
    expose_headers = Unicode("", help="Access-Control-Expose-Headers of every response.").tag(
        config=True
    )
    max_age = Unicode("", help="Access-Control-Max-Age of every response, in seconds.").tag(
        config=True
    )
    allow_credentials = Unicode("", help="Access-Control-Allow-Credentials of every response.").tag(
        config=True
    )
    allow_methods = Unicode("", help="Access-Control-Allow-Methods of every response.").tag(
        config=True
    )
    allow_headers = Unicode("", help="Access-Control-Allow-Headers of every response.").tag(
        config=True
    )
    embed_origins = Unicode(
        "", help="Sites whose pages may embed notebooks: https://journal.example,https://…"
    ).tag(config=True)
    template_path = Unicode(
        "", help="Directory with templates that replace the built-in ones of the same name."
    ).tag(config=True)
    state_dir = Unicode(
        help="Directory for the secret key and other state that must survive restarts."
    ).tag(config=True)
    stop_servers_on_exit = Bool(
        False,
        help="Stop claimed servers too when the orchestrator shuts down, instead of keeping them.",
    ).tag(config=True)
    reconcile_interval = seconds(10, "between checks of the engine and the proxy.", least=0.1)
    start_timeout = seconds(60, "a new server may take to respond before it counts as failed.")
    spawn_concurrency = Int(
        help="Servers started in parallel. More than two per CPU core slow each other down.",
        min=1,
        max=1000,
    ).tag(config=True)
    ready_path = Unicode(
        "api", help="Path under a server's base URL that returns 200 once the server is ready."
    ).tag(config=True)
    proxy_command = Unicode(
        "configurable-http-proxy",
        help="""Proxy to start and keep running, unless CONFIGPROXY_ENDPOINT or
        CONFIGPROXY_AUTH_TOKEN points to one that already runs.""",
    ).tag(config=True)
    proxy_ip = Unicode(
        "127.0.0.1", help="Address the started proxy listens on; 0.0.0.0 for all interfaces."
    ).tag(config=True)
    proxy_port = _port(8000, "Port the started proxy listens on, for visitors.")
    proxy_api_port = _port(8001, "Port of the started proxy's API, on loopback.")

    @default("state_dir")
    def _state_dir(self) -> str:
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        return str(Path(base) / "tmpnb")

    @default("spawn_concurrency")
    def _spawn_concurrency(self) -> int:
        return 2 * (os.cpu_count() or 1)

    def _configure_logging(self) -> None:
        """Leave logging to `logs.configure`; we report what traitlets would log before that."""
        self.log.addHandler(NullHandler())

    def initialize(self, argv: Sequence[str] | None = None) -> None:
        """Read the command line and the config file, and check what they say.

        Raises:
            ConfigError: A flag, a setting or a combination cannot be; in one line.
            TraitError: A value is of the wrong type or out of its range.
        """
        arguments = list(sys.argv[1:] if argv is None else argv)
        self.classes = [Tmpnb, Branding, *_known_spawners()]
        flags.check_arguments(arguments, self.classes)
        # Below its decorator, which would print more than one line and exit.
        Application.parse_command_line.__wrapped__(self, arguments)  # type: ignore[attr-defined]  # set by functools.wraps
        from_flags = self.config
        path = Path(self.config_file)
        if config_file.is_there(path):
            config_file.load(self, path)
        elif "config_file" in from_flags.get("Tmpnb", {}) and not self.generate_config:
            raise ConfigError(f"--config={path}: no such file")
        flags.let_flags_win(self.config, from_flags, self.classes)
        self.update_config(from_flags)
        flags.check_config(self.config, self.classes)

    def start(self) -> None:
        """Print what was asked for, or make ready the service that is to run."""
        if self.generate_config:
            text = self.generate_config_file(self.classes)
            config_file.write(Path(self.config_file), text)
            print(f"wrote {self.config_file}")  # noqa: T201 - the answer to the flag
            return
        self.configure_logs()
        service = self.build()
        pairs = (*weak_tokens(service), *service.cautions())
        for said in filter(None, (advice(service), *map("; ".join, pairs))):
            self.log.warning("%s", said)
        self.service = service

    def start_show_config(self) -> None:
        """Print the current settings; called by traitlets instead of `start`."""
        spawner = spawner_class(self.spawner)(parent=self)
        print(config_file.in_force(self, Branding(parent=self), spawner))  # noqa: T201 - the answer to the flag

    def build(self) -> Service:
        """Turn settings into a service that is not running yet.

        Raises:
            ConfigError: A combination cannot be; in one line.
        """
        spawner = spawner_class(self.spawner)(parent=self)
        branding = Branding(parent=self)
        frame_ancestors = checks.frame_ancestors(self.embed_origins)
        public_url, subdomains = self.addresses()
        spawner.pool = PoolIdentity(
            checks.pool_name(self.pool_name, spawner.image or self.spawner),
            self.pool_size,
            frame_ancestors,
            https=public_url.startswith("https:"),
            script_origins=checks.script_origins(frame_ancestors, self.allow_origin),
            siblings=subdomains is not None,
            state_dir=Path(self.state_dir),
        )
        GuardedSpawner(spawner).check()
        policy = Policy(
            capacity=self.pool_size,
            min_ready=self.min_ready or self.pool_size,
            max_idle=self.cull_timeout,
            max_age=self.cull_max,
            max_burning=self.max_burning(),
            ready_max_age=self.ready_max_age,
            replaced_at_once=max(1, min(self.spawn_concurrency, self.pool_size // 4)),
        )
        checks.check_policy(policy)
        secrets = Secrets.from_environment(os.environ)
        listening = self.listening()
        checks.check_listening(listening, secrets.admin_token)
        landing, *pages = self.landing()
        domain = subdomains.domain if subdomains else ""
        return Service(
            spawner=spawner,
            policy=policy,
            listening=listening,
            secrets=secrets,
            proxy=self._proxy_choice(domain),
            timing=Timing(
                self.reconcile_interval,
                user_length=self.user_length,
                lower_case=subdomains is not None,
            ),
            starts=StartSettings(
                self.spawn_concurrency, self.start_timeout, self.ready_path, *pages
            ),
            cull_period=self.cull_period,
            redirect_uri=landing,
            cors=self._cors(),
            brand=branding.checked(),
            notice=branding.notice(),
            frame_ancestors=frame_ancestors,
            public_url=public_url,
            subdomains=subdomains,
            hosts=self.names(public_url, domain, walls=spawner.walls),
            template_path=self._template_path(),
            state_dir=Path(self.state_dir),
            stop_servers_on_exit=self.stop_servers_on_exit,
            access=self.access(),
            settings=tell(self, branding, spawner),
        )

    def _cors(self) -> cors.Cors:
        allowed = cors.cors({name: getattr(self, name) for name in flags.CORS})
        if said := cors.advice(allowed):
            self.log.warning(said)
        return allowed

    def _proxy_choice(self, domain: str) -> ProxyChoice:
        return ProxyChoice(
            endpoint=os.environ.get("CONFIGPROXY_ENDPOINT") or None,
            command=self._proxy_words(),
            ip=self.proxy_ip,
            port=self.proxy_port,
            api_port=self.proxy_api_port,
            domain=domain,
            state_dir=Path(self.state_dir),
        )

    def _proxy_words(self) -> tuple[str, ...]:
        try:
            words = tuple(shlex.split(self.proxy_command))
        except ValueError as error:
            raise ConfigError(f"--proxy-command={self.proxy_command}: {error}") from error
        if not words:
            raise ConfigError("--proxy-command is empty; leave it out for the default")
        return words

    def _template_path(self) -> Path | None:
        path = templates_in(self.template_path)
        if path is not None:
            assets.check(assets.TEMPLATES, path)
        return path

    def configure_logs(self) -> None:
        """Set up the log, and tell which flags have no effect."""
        self.set_up_logs()
        if "use_tokens" in self.config.Tmpnb and not self.use_tokens:
            self.log.warning("--use-tokens=False has no effect: every server has a secret token")
        if self.static_files:
            self.log.warning("--static-files has no effect: servers serve their own files")


def _known_spawners() -> list[type[Configurable]]:
    """Return the spawners whose packages are installed; flags and `--help-all` cover them."""
    found: list[type[Configurable]] = [Spawner]
    for name in spawner_names():
        with suppress(ConfigError):
            found.append(spawner_class(name))
    return found
