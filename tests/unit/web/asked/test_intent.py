"""A server is taken by a person's act and never by a machine's look: what clients really send."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from tests.support.clients import AHEAD, CHROME, FIREFOX, IMAGE, MACHINES, PAGE, SAFARI
from tmpnb.web.asked import intent
from tmpnb.web.asked.intent import Autostart

TYPED = {
    "User-Agent": CHROME,
    "Accept": PAGE,
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
}
LINK = {**TYPED, "Sec-Fetch-Site": "cross-site"}
SCRIPTED = {k: v for k, v in LINK.items() if k != "Sec-Fetch-User"}  # location.href = …
FRAME = {**SCRIPTED, "Sec-Fetch-Dest": "iframe"}
CLICKED_FRAME = {**FRAME, "Sec-Fetch-User": "?1"}
FETCH = {
    "User-Agent": FIREFOX,
    "Accept": "*/*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
}

# Browsers of people, on the machines people have. No part of a name may betray one of them.
PEOPLE = {
    "chrome": CHROME,
    "firefox": FIREFOX,
    "safari": SAFARI,
    "edge": CHROME + " Edg/126.0.0.0",
    "opera": CHROME + " OPR/111.0.0.0",
    "headless": CHROME.replace("Chrome", "HeadlessChrome"),
    "internet explorer": "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "iphone": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
    ),
    "samsung": (
        "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) "
        "SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36"
    ),
    "firefox on android": "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0",
    "cubot phone": (
        "Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Mobile Safari/537.36"
    ),
    "cubot phone with underscores": (
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/110.0.0.0 Mobile Safari/537.36"
    ),
    "cubot phone in small letters": (
        "Mozilla/5.0 (Linux; U; Android 7.0; en-gb; Cubot Build/NRD90M) AppleWebKit/537.36 "
        "(KHTML, like Gecko) Version/4.0 Chrome/100.0.0.0 Mobile Safari/537.36"
    ),
    "inside telegram": (
        "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Mobile Safari/537.36 Telegram-Android/11.3.3 (Samsung SM-A155F; "
        "Android 14; SDK 34; AVERAGE)"
    ),
    "inside pinterest": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]"
    ),
    "inside facebook": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/470.0.0;FBDV/iPhone14,2]"
    ),
    "inside linkedin": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.29.1"
    ),
    "inside slack": CHROME.replace("Chrome/", "Slack/4.38.125 Chrome/") + " Slack_SSB/4.38.125",
    "kindle": (
        "Mozilla/5.0 (Linux; Android 9; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Silk/126.2.4 like Chrome/126.0.0.0 Safari/537.36"
    ),
    "text browser": "Lynx/2.9.0 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.3",
}


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_persons_browser_is_never_called_a_crawler(agent: str) -> None:
    assert not intent.is_crawler({"User-Agent": agent})
    assert intent.may_take({"User-Agent": agent, "Accept": PAGE})


@pytest.mark.parametrize("agent", MACHINES.values(), ids=MACHINES)
def test_crawlers_and_previews_take_nothing(agent: str) -> None:
    """O1: every look of one took a server."""
    assert intent.is_crawler({"User-Agent": agent})
    assert not intent.may_take({"User-Agent": agent, "Accept": "*/*"})
    assert intent.autostart({**TYPED, "User-Agent": agent}) is Autostart.NO


@pytest.mark.parametrize("agent", ["curl/8.5.0", "python-requests/2.32.3", "Wget/1.21.4", ""])
def test_program_that_somebody_wrote_may_take(agent: str) -> None:
    headers = {"User-Agent": agent, "Accept": "*/*"}
    assert not intent.is_crawler(headers)
    assert intent.may_take(headers)


def test_client_that_says_nothing_may_take() -> None:
    assert intent.may_take({})


@pytest.mark.parametrize("extra", AHEAD.values(), ids=AHEAD)
@pytest.mark.parametrize("visitor", [TYPED, CLICKED_FRAME, {"User-Agent": SAFARI, "Accept": PAGE}])
def test_fetching_ahead_takes_nothing(visitor: dict[str, str], extra: dict[str, str]) -> None:
    """But for one header it looks like a visit."""
    assert intent.is_prefetch({**visitor, **extra})
    assert not intent.may_take({**visitor, **extra})
    assert intent.may_take(visitor)


@pytest.mark.parametrize("visitor", [TYPED, LINK, FRAME, FETCH, {}])
def test_visit_is_no_prefetch(visitor: dict[str, str]) -> None:
    assert not intent.is_prefetch(visitor)


def test_names_of_headers_are_read_in_any_case() -> None:
    assert intent.is_prefetch(HTTPHeaders({"sec-purpose": "Prefetch"}))
    assert intent.is_crawler(HTTPHeaders({"user-agent": "TWITTERBOT/1.0"}))


# What a GET of /spawn may take, and what the loading page may do by itself

VISITS = {
    "typed address": (TYPED, True, Autostart.YES),
    "link on another site": (LINK, True, Autostart.YES),
    "script that navigates": (SCRIPTED, True, Autostart.YES),
    "frame that came with an article": (FRAME, False, Autostart.NO),
    "frame after a click": (CLICKED_FRAME, True, Autostart.YES),
    "old frame that came with a page": ({**FRAME, "Sec-Fetch-Dest": "frame"}, False, Autostart.NO),
    "object": ({**FRAME, "Sec-Fetch-Dest": "object"}, False, Autostart.NO),
    "embed": ({**FRAME, "Sec-Fetch-Dest": "embed"}, False, Autostart.NO),
    "image": ({**FETCH, "Sec-Fetch-Dest": "image", "Accept": IMAGE}, False, Autostart.NO),
    "script tag": ({**FETCH, "Sec-Fetch-Dest": "script"}, False, Autostart.NO),
    "style sheet": ({**FETCH, "Sec-Fetch-Dest": "style"}, False, Autostart.NO),
    "video": ({**FETCH, "Sec-Fetch-Dest": "video"}, False, Autostart.NO),
    "worker": ({**FETCH, "Sec-Fetch-Dest": "worker"}, False, Autostart.NO),
    "our own script": ({**FETCH, "Sec-Fetch-Site": "same-origin"}, True, Autostart.NO),
    "foreign script": ({**FETCH, "Sec-Fetch-Site": "cross-site"}, False, Autostart.NO),
    "sister site's script": ({**FETCH, "Sec-Fetch-Site": "same-site"}, False, Autostart.NO),
    "person without https": ({"User-Agent": CHROME, "Accept": PAGE}, True, Autostart.TOP),
    "image without https": ({"User-Agent": CHROME, "Accept": IMAGE}, False, Autostart.TOP),
    "curl": ({"User-Agent": "curl/8.5.0", "Accept": "*/*"}, True, Autostart.TOP),
}


@pytest.mark.parametrize(("headers", "may", "auto"), VISITS.values(), ids=VISITS)
def test_taking_is_an_act(headers: dict[str, str], may: bool, auto: Autostart) -> None:
    """O1: image tags and page views of an article drained the pool."""
    assert intent.may_take(headers) is may
    assert intent.autostart(headers) is auto


def test_words_of_autostart_are_those_the_page_knows() -> None:
    assert [str(word) for word in Autostart] == ["yes", "no", "top"]


# Whose page a POST comes from

HOST = "hub.example:8000"


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{HOST}"}, False),
        ({"Sec-Fetch-Site": ""}, False),
        ({}, True),  # a program
        ({"Origin": f"http://{HOST}"}, True),
        ({"Origin": f"https://{HOST}"}, True),  # the proxy may speak https for us
        ({"Origin": "http://hub.example"}, False),
        ({"Origin": "http://hub.example:8001"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": f"https://evil.example/{HOST}"}, False),
        ({"Origin": f"https://{HOST}.evil.example"}, False),
        ({"Origin": "null"}, False),  # a sandboxed frame
        ({"Origin": ""}, False),
        ({"Origin": "http://["}, False),  # no address at all, and no reason to fail
    ],
)
def test_post_from_a_foreign_page_is_told_apart(headers: dict[str, str], own: bool) -> None:
    assert intent.is_own_page({"Host": HOST, **headers}) is own


@pytest.mark.parametrize("origin", ["null", "", "https://evil.example"])
def test_without_a_host_no_origin_is_ours(origin: str) -> None:
    assert not intent.is_own_page({"Origin": origin})
    assert not intent.is_own_page({"Origin": origin, "Host": ""})


PHONES = ("iphone", "firefox on android")


@pytest.mark.parametrize("name", PHONES)
def test_a_phone_has_little_room(name: str) -> None:
    assert intent.is_small({**TYPED, "User-Agent": PEOPLE[name]})


@pytest.mark.parametrize("name", ["chrome", "firefox", "safari", "edge", "internet explorer"])
def test_a_desk_has_room_unless_it_is_in_a_frame(name: str) -> None:
    headers = {**TYPED, "User-Agent": PEOPLE[name]}
    assert not intent.is_small(headers)
    assert intent.is_small({**headers, "Sec-Fetch-Dest": "iframe"})


@pytest.mark.parametrize(("said", "small"), [("?1", True), ("?0", False)])
def test_a_browser_says_itself_whether_it_is_on_a_phone(said: str, small: bool) -> None:
    headers = {**TYPED, "User-Agent": PEOPLE["iphone"], "Sec-CH-UA-Mobile": said}
    assert intent.is_small(headers) is small


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        *((name, True) for name in ("document", "iframe", "frame", "embed", "object")),
        *((name, False) for name in ("image", "script", "style", "empty", "video", "worker", "")),
    ],
)
def test_a_page_is_what_a_tab_or_a_frame_shows(destination: str, shown: bool) -> None:
    assert intent.is_page({"Sec-Fetch-Dest": destination}) is shown


def test_a_browser_that_does_not_say_asks_for_a_page_unless_it_wants_an_image() -> None:
    assert intent.is_page({"Accept": "text/html,image/webp"})
    assert not intent.is_page({"Accept": "image/webp,*/*"})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_our_own_page_alone_leads_here_by_the_word_of_the_browser(site: str) -> None:
    assert intent.is_led_by_own_page({"Sec-Fetch-Site": "same-origin"})
    assert not intent.is_led_by_own_page({"Sec-Fetch-Site": site})
    assert not intent.is_led_by_own_page({})
