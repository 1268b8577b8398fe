"""What every server is given: the same bytes each time, found by its environment."""

from __future__ import annotations

import io
import json
import os
import runpy
import sys
import tarfile
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tmpnb.spawners import kit

HTTPS = kit.DIRECTORY / "https"
CORS = kit.DIRECTORY / "origins"
LOOK = kit.DIRECTORY / "look"
SIBLINGS = kit.DIRECTORY / "siblings"


def members() -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(kit.archive())) as tar:
        return {entry.name: entry for entry in tar.getmembers()}


def test_archive_has_what_a_server_reads_and_nothing_else() -> None:
    files = {name for name, entry in members().items() if entry.isfile()}
    assert files == {
        "config/labconfig/page_config.json",
        "https/jupyter_server_config.d/tmpnb.json",
        "https/jupyter_server_config.py",
        "https/tmpnb_cookies.py",
        "look/jupyter_server_config.py",
        "look/system/labconfig/default_setting_overrides.json",
        "look/tmpnb_look.py",
        "origins/jupyter_server_config.d/tmpnb_origins.json",
        "origins/jupyter_server_config.py",
        "origins/tmpnb_origins.py",
        "share/labextensions/tmpnb/package.json",
        "share/labextensions/tmpnb/static/early.js",
        "share/labextensions/tmpnb/static/hint.js",
        "share/labextensions/tmpnb/static/leaving.js",
        "share/labextensions/tmpnb/static/life.js",
        "share/labextensions/tmpnb/static/main.js",
        "share/labextensions/tmpnb/static/menu.js",
        "share/labextensions/tmpnb/static/notebook.js",
        "share/labextensions/tmpnb/static/quiet.js",
        "share/labextensions/tmpnb/static/remoteEntry.js",
        "share/labextensions/tmpnb/static/saving.js",
        "share/labextensions/tmpnb/static/shared.js",
        "share/labextensions/tmpnb/static/words.js",
        "siblings/jupyter_server_config.d/tmpnb_siblings.json",
        "siblings/jupyter_server_config.py",
        "siblings/tmpnb_siblings.py",
        "use/jupyter_server_config.d/tmpnb_use.json",
        "use/jupyter_server_config.py",
        "use/tmpnb_use.py",
        "offline/start.py",
        "offline/tmpnb_offline.py",
    }


def test_archive_can_be_read_by_any_user_and_written_by_none_but_root() -> None:
    assert {entry.mode for entry in members().values()} == {0o755, 0o644}
    assert {(entry.uid, entry.gid) for entry in members().values()} == {(0, 0)}


def test_a_directory_comes_before_what_is_in_it() -> None:
    names = list(members())
    assert all(str(Path(name).parent) in ("", ".", *names[:i]) for i, name in enumerate(names))


def test_archive_is_the_same_each_time_and_named_by_its_contents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, name = kit.archive(), kit.version()
    kit.archive.cache_clear()
    kit.version.cache_clear()
    assert (kit.archive(), kit.version()) == (before, name)
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "new.js").write_text("'other'")
    (tmp_path / "share" / "__pycache__").mkdir()
    monkeypatch.setattr(kit, "DIRECTORY", tmp_path)
    monkeypatch.setattr(kit, "PARTS", ("share",))
    kit.archive.cache_clear()
    kit.version.cache_clear()
    try:
        assert list(members()) == ["share", "share/new.js"]
        assert kit.version() != name
    finally:
        kit.archive.cache_clear()
        kit.version.cache_clear()


@pytest.mark.parametrize(
    ("https", "config"),
    [
        (False, "/kit/config:/kit/look:/kit/use"),
        (True, "/kit/config:/kit/look:/kit/use:/kit/https"),
    ],
)
def test_cookies_for_frames_are_for_https_alone(https: bool, config: str) -> None:
    assert kit.environment("/kit", {}, https=https) == {
        "JUPYTER_PATH": "/kit/share",
        "JUPYTER_CONFIG_PATH": config,
    }


def test_leave_for_scripts_is_given_only_where_sites_are_named() -> None:
    assert kit.environment("/kit", {}, https=True, origins="https://a") == {
        "JUPYTER_PATH": "/kit/share",
        "JUPYTER_CONFIG_PATH": "/kit/config:/kit/look:/kit/use:/kit/https:/kit/origins",
        "TMPNB_ORIGINS": "https://a",
    }


def test_what_a_server_has_already_comes_first() -> None:
    present = {"JUPYTER_PATH": "/own:/more", "JUPYTER_CONFIG_PATH": "/conf", "PATH": "/bin"}
    assert kit.environment("/kit", present, https=False) == {
        "JUPYTER_PATH": "/own:/more:/kit/share",
        "JUPYTER_CONFIG_PATH": "/conf:/kit/config:/kit/look:/kit/use",
    }


def test_json_is_json() -> None:
    texts = [path.read_text(encoding="utf-8") for path in kit.DIRECTORY.rglob("*.json")]
    assert len([json.loads(text) for text in texts]) == 7


# The parts that run in a notebook server


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a directory where a server looks for settings of every kind, and for no others."""
    for name in ("JUPYTER_CONFIG_PATH", "JUPYTER_CONFIG_DIR", "JUPYTERLAB_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(tmp_path / "own"))
    return tmp_path


def look(settings: Path) -> list[str]:
    """Return where a server looks for settings besides, once the kit has looked at them."""
    runpy.run_path(str(LOOK / "tmpnb_look.py"))["follow_system"]()
    first, *more = os.environ["JUPYTER_CONFIG_PATH"].split(":")
    assert first == str(settings)
    return more


def test_theme_follows_the_system_where_nobody_has_chosen_one(settings_of: Path) -> None:
    (settings_of / "labconfig").mkdir()
    other = settings_of / "labconfig" / "default_setting_overrides.json"
    other.write_text('{"@jupyterlab/terminal-extension:plugin": {"theme": "dark"}}')
    assert look(settings_of) == [str(LOOK / "system")]


@pytest.mark.parametrize(
    "name",
    [
        "labconfig/default_setting_overrides.json",
        "labconfig/default_setting_overrides.d/more.json",
        "settings/overrides.json",
        "settings/overrides.json5",
        "settings/overrides.d/image.json",
        "own/@jupyterlab/apputils-extension/themes.jupyterlab-settings",
    ],
)
def test_theme_that_was_chosen_stays(settings_of: Path, name: str) -> None:
    path = settings_of / name
    path.parent.mkdir(parents=True)
    path.write_text('{"@jupyterlab/apputils-extension:themes": {"theme": "JupyterLab Light"}}')
    assert look(settings_of) == []


def server(cookie_options: object, xsrf: object) -> Any:
    settings = {"cookie_options": cookie_options, "xsrf_cookie_kwargs": xsrf}
    settings = {name: value for name, value in settings.items() if value is not None}
    return SimpleNamespace(base_url="/user/x/", web_app=SimpleNamespace(settings=settings))


def load(running: Any) -> dict[str, Any]:
    module = runpy.run_path(str(HTTPS / "tmpnb_cookies.py"), run_name="tmpnb_cookies")
    assert module["_jupyter_server_extension_points"]() == [{"module": "tmpnb_cookies"}]
    module["_load_jupyter_server_extension"](running)
    settings: dict[str, Any] = running.web_app.settings
    return settings


def test_both_cookies_work_in_frames_and_keep_their_path() -> None:
    login: dict[str, object] = {}
    settings = load(server(login, {"path": "/user/x/"}))
    framed = {"samesite": "None", "secure": True, "partitioned": True}
    assert login == framed
    assert settings["xsrf_cookie_kwargs"] == framed | {"path": "/user/x/"}


def test_what_an_image_has_set_stays() -> None:
    settings = load(server({"samesite": "Strict"}, {"path": "/", "secure": True}))
    assert settings["cookie_options"] == {"samesite": "Strict"}
    assert settings["xsrf_cookie_kwargs"] == {"path": "/", "secure": True}


def test_server_that_knows_no_such_settings_is_no_error() -> None:
    assert load(server(None, None))["xsrf_cookie_kwargs"]["path"] == "/user/x/"


def test_a_cookie_of_this_python_can_be_partitioned_afterwards() -> None:
    load(server({}, None))
    cookie = SimpleCookie({"name": "value"})
    cookie["name"]["partitioned"] = True
    assert "Partitioned" in cookie.output()


@pytest.mark.parametrize("directory", [HTTPS, CORS, SIBLINGS], ids=lambda path: path.name)
def test_config_lets_the_server_find_the_module(
    monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(directory / "jupyter_server_config.py"))
    assert sys.path[-1] == str(directory)


def allow(pattern: str | None, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Any:
    """Return the settings of a server after it has read whose scripts may ask."""
    monkeypatch.delenv(kit.ORIGINS, raising=False)
    if pattern is not None:
        monkeypatch.setenv(kit.ORIGINS, pattern)
    module = runpy.run_path(str(CORS / "tmpnb_origins.py"), run_name="tmpnb_origins")
    assert module["VARIABLE"] == kit.ORIGINS
    assert module["_jupyter_server_extension_points"]() == [{"module": "tmpnb_origins"}]
    running = SimpleNamespace(web_app=SimpleNamespace(settings=settings))
    module["_load_jupyter_server_extension"](running)
    return running.web_app.settings


def test_scripts_of_the_named_sites_may_ask_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = allow(r"https://a\.test\Z", monkeypatch, allow_origin="")
    assert settings["allow_origin_pat"].match("https://a.test")
    assert not settings["allow_origin_pat"].match("https://a.test.evil.test")
    assert settings["allow_origin"] == ""


@pytest.mark.parametrize(
    "own",
    [
        {"allow_origin": "https://own.test"},
        {"allow_origin_pat": "own"},
        {"headers": {"Access-Control-Allow-Origin": "https://own.test"}},
    ],
    ids=lambda own: next(iter(own)),
)
def test_whose_scripts_may_ask_is_what_the_image_or_its_command_says_first(
    monkeypatch: pytest.MonkeyPatch, own: dict[str, object]
) -> None:
    assert allow("https://a", monkeypatch, **own) == own


@pytest.mark.parametrize("pattern", ["", None])
def test_nobodys_scripts_may_ask_where_nobody_is_named(
    monkeypatch: pytest.MonkeyPatch, pattern: str | None
) -> None:
    assert allow(pattern, monkeypatch, allow_origin="") == {"allow_origin": ""}


def test_cookies_are_guarded_only_where_servers_have_hosts_of_one_site() -> None:
    config = kit.environment("/kit", {}, https=True, siblings=True)["JUPYTER_CONFIG_PATH"]
    assert config == "/kit/config:/kit/look:/kit/use:/kit/https:/kit/siblings"


OWN = "me.notebooks.example:8000"


@pytest.mark.parametrize(
    ("method", "headers", "keeps"),
    [
        ("GET", {}, True),  # no browser, or an old one
        ("POST", {"Origin": f"http://{OWN}"}, True),
        ("POST", {"Origin": "http://sibling.notebooks.example:8000"}, False),
        ("POST", {"Origin": "http://me.notebooks.example"}, False),
        ("POST", {"Origin": "null"}, False),
        ("POST", {"Origin": "http://me.example", "Host": "me.example:80"}, True),
        ("POST", {"Origin": "https://ME.example", "Host": "me.example:443"}, True),
        ("POST", {"Origin": "https://me.example", "Host": "me.example"}, True),
        ("POST", {"Origin": "https://me.example", "Host": "me.example:80"}, False),
        ("POST", {"Origin": "http://sibling.example", "Host": "me.example:80"}, False),
        ("POST", {"Origin": "http://", "Host": ""}, False),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, True),
        ("GET", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "websocket"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, False),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, False),
    ],
)
def test_a_server_takes_no_cookies_from_pages_of_other_hosts(
    method: str, headers: dict[str, str], keeps: bool
) -> None:
    module = runpy.run_path(str(SIBLINGS / "tmpnb_siblings.py"), run_name="tmpnb_siblings")
    assert module["_jupyter_server_extension_points"]() == [{"module": "tmpnb_siblings"}]
    application = SimpleNamespace(find_handler=lambda request, **kwargs: (request, kwargs))
    module["_load_jupyter_server_extension"](SimpleNamespace(web_app=application))
    sent = {"Host": OWN, "Cookie": "a=b", **headers}
    request, more = application.find_handler(SimpleNamespace(method=method, headers=sent), x=1)
    assert ("Cookie" in request.headers) is keeps
    assert more == {"x": 1}
