"""A link with content leads to the same path and query on the visitor's server, to the letter."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tornado.escape import xhtml_unescape

from tests.support.running_site import HTML, PERSON, SCRIPT, Running
from tmpnb.core.server import Phase
from tmpnb.visitors.arrivals import Arrivals

pytestmark = pytest.mark.gen_test(timeout=20)

LINKS = [
    "git-pull?repo=https%3A%2F%2Fgithub.com%2Fa%2Fb&urlpath=lab%2Ftree%2Fb%2Fx%20y.ipynb&branch=main",
    "git-pull?repo=https://github.com/a/b&urlpath=lab/tree/b/?x=1&depth=1",
    "git-pull?urlpath=tree&targetPath=a+b%2Bc&repo=git%40host%3Aa%2Fb.git",
    "voila/render/x.ipynb?y=1",
    "voila/render/deep/a%20b.ipynb?y=1&y=2&y=&x&voila-theme=dark",
    "rstudio",
    "rstudio/",
    "shiny/app/?_inputs_&n=50%25&name=%22a%22",
    "proxy/8050/assets/x.js?v=1+1",
    "proxy/absolute/8050/?a=b=c&a=%26",
    "vscode/?folder=/home/jovyan/%C3%A9t%C3%A9",
    "panel/x?percent=100%25&broken=100%",
    "streamlit/?embed=true&embed=true",
    "lab/tree/x.ipynb?factory=Notebook",
    "doc/workspaces/a/tree/x.ipynb?reset&clone",
    "retro/notebooks/x.ipynb?path=a%2Fb",
]


async def landed(running: Running, link: str, how: str, **changes: Any) -> str:
    """Return where a visitor of `/spawn/<link>` lands, without what is the server's own."""
    fetch = running.public(**changes)
    if how == "click":
        answer = await fetch(f"/spawn{link}", headers=PERSON)
        location = answer.headers["Location"]
    elif how == "form":
        answer = await fetch(f"/spawn{link}", method="POST", headers=PERSON)
        location = answer.headers["Location"]
    else:
        answer = await fetch(f"/spawn{link}", method="POST", headers=SCRIPT)
        location = json.loads(answer.body)["url"]
    (server,) = running.world.servers(Phase.CLAIMED)
    token = f"token={running.world.orchestrator.token_for(server.id)}"
    assert location.startswith(server.base_url)
    assert location.endswith((f"?{token}", f"&{token}"))
    return str(location)[len(server.base_url) : -len(token) - 1]


@pytest.mark.parametrize("how", ["click", "form", "script"])
@pytest.mark.parametrize("link", LINKS)
async def test_path_and_query_reach_the_server_unchanged(
    running: Running, link: str, how: str
) -> None:
    assert await landed(running, f"/{link}", how) == link


@pytest.mark.parametrize("link", LINKS)
async def test_page_in_between_keeps_them_too(running: Running, link: str) -> None:
    headers = HTML | {"Sec-Fetch-Dest": "iframe"}  # nobody has clicked: a page, no server
    page = await running.public()(f"/spawn/{link}", headers=headers)
    assert f'action="/spawn/{link}"' in xhtml_unescape(page.body)
    assert running.taken == 0


@pytest.mark.parametrize(
    ("home", "asked", "there"),
    [
        ("/lab?reset&x=%20+", "", "lab?reset&x=%20+"),
        ("/git-pull?repo=https%3A%2F%2Fa.b%2Fc&urlpath=lab", "", None),
        ("/lab?reset", "?y=1&y=2", "lab?reset&y=1&y=2"),
        ("/lab?reset", "/doc/tree/x.ipynb?y=1", "doc/tree/x.ipynb?y=1"),
        ("/voila/render/a%20b.ipynb?y=%25", "/", "voila/render/a%20b.ipynb?y=%25"),
    ],
)
@pytest.mark.parametrize("how", ["click", "form", "script"])
async def test_landing_page_of_the_operator_may_have_a_query(
    running: Running, home: str, asked: str, there: str | None, how: str
) -> None:
    arrivals = Arrivals(running.world.orchestrator, home, running.site.visitors)
    running.site = replace(running.site, arrivals=arrivals)
    assert await landed(running, asked, how) == (there or home.lstrip("/"))


# Links made for JupyterHub


@pytest.mark.parametrize("link", ["", *LINKS])
async def test_links_made_for_jupyterhub_lead_to_the_page_of_the_same_path(
    running: Running, link: str
) -> None:
    page = await running.public()(f"/hub/user-redirect/{link}", headers=PERSON)
    wanted = f"/spawn/{link}" if link else "/spawn"
    assert page.code == 200
    assert f'action="{wanted}"' in xhtml_unescape(page.body)
    assert 'data-autostart="yes"' in page.body.decode()
    assert running.taken == 0


@pytest.mark.parametrize("path", ["/hub/user-redirect/%2e%2e/x", "/hub/user-redirect/a%5Cb"])
async def test_bad_link_made_for_jupyterhub_is_refused_in_words(
    running: Running, path: str
) -> None:
    assert (await running.public()(path, headers=PERSON)).code == 400


async def test_jupyterhub_has_no_other_address_here(running: Running) -> None:
    fetch = running.public()
    for path in ("/hub", "/hub/login", "/hub/user-redirectory"):
        assert (await fetch(path, headers=PERSON)).code == 404
