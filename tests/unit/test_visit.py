"""A server is taken by a person's act and never by a machine's look: what clients really send."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from tmpnb import visit
from tmpnb.visit import Autostart

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Safari/605.1.15"
)
PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
IMAGE = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"

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

MACHINES = {
    "google": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "google on a phone": (
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like "
        "Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; "
        "+http://www.google.com/bot.html)"
    ),
    "google inspection": "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
    "bing": "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "bing preview": f"{CHROME} BingPreview/1.0b",
    "yahoo": "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "baidu": "Mozilla/5.0 (compatible; Baiduspider/2.0; http://www.baidu.com/search/spider.html)",
    "apple": f"{SAFARI} (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "slack": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "slack images": "Slack-ImgProxy (+https://api.slack.com/robots)",
    "twitter": "Twitterbot/1.0",
    "facebook": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebook, plain": "facebookexternalhit/1.1",
    "meta": "meta-externalagent/1.1",
    "whatsapp": "WhatsApp/2.23.20.0 A",
    "telegram": "TelegramBot (like TwitterBot)",
    "discord": "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "linkedin": "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://linkedin.com)",
    "pinterest": "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
    "skype": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "mastodon": "Mastodon/4.3.0 (http.rb/5.2.0; +https://social.example/) Bot",
    "tumblr": "Tumblr/14.0.835.186",
    "archive": "Mozilla/5.0 (compatible; archive.org_bot +http://archive.org/details/archive.org_bot)",
    "reader": "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers)",
    "language model": "Mozilla/5.0 AppleWebKit/537.36 (compatible; GPTBot/1.1; +https://openai.com)",
    "crawler": "CCBot/2.0 (https://commoncrawl.org/faq/)",
    "lighthouse": f"{CHROME} Chrome-Lighthouse",
    "monitor": "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "checker": "W3C_Validator/1.3 http://validator.w3.org/services",
}


@pytest.mark.parametrize("agent", PEOPLE.values(), ids=PEOPLE)
def test_persons_browser_is_never_called_a_crawler(agent: str) -> None:
    assert not visit.is_crawler({"User-Agent": agent})
    assert visit.may_take({"User-Agent": agent, "Accept": PAGE})


@pytest.mark.parametrize("agent", MACHINES.values(), ids=MACHINES)
def test_crawlers_and_previews_take_nothing(agent: str) -> None:
    """O1: every look of one took a server."""
    assert visit.is_crawler({"User-Agent": agent})
    assert not visit.may_take({"User-Agent": agent, "Accept": "*/*"})
    assert visit.autostart({**TYPED, "User-Agent": agent}) is Autostart.NO


@pytest.mark.parametrize("agent", ["curl/8.5.0", "python-requests/2.32.3", "Wget/1.21.4", ""])
def test_program_that_somebody_wrote_may_take(agent: str) -> None:
    headers = {"User-Agent": agent, "Accept": "*/*"}
    assert not visit.is_crawler(headers)
    assert visit.may_take(headers)


def test_client_that_says_nothing_may_take() -> None:
    assert visit.may_take({})


AHEAD = {
    "chrome link": {"Sec-Purpose": "prefetch", "Purpose": "prefetch"},
    "chrome address bar": {"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"},
    "speculation rules, prefetch": {"Sec-Purpose": "prefetch", "Sec-Fetch-Site": "none"},
    "speculation rules, prerender": {"Sec-Purpose": "prefetch;prerender"},
    "through a private proxy": {"Sec-Purpose": "prefetch;anonymous-client-ip"},
    "older chrome": {"Purpose": "prefetch"},
    "older prerender": {"Purpose": "prerender"},
    "firefox": {"Sec-Purpose": "prefetch"},
    "older firefox": {"X-Moz": "prefetch"},
    "safari's top sites": {"X-Purpose": "preview"},
    "older safari": {"Purpose": "preview"},
}


@pytest.mark.parametrize("extra", AHEAD.values(), ids=AHEAD)
@pytest.mark.parametrize("visitor", [TYPED, CLICKED_FRAME, {"User-Agent": SAFARI, "Accept": PAGE}])
def test_fetching_ahead_takes_nothing(visitor: dict[str, str], extra: dict[str, str]) -> None:
    """But for one header it looks like a visit."""
    assert visit.is_prefetch({**visitor, **extra})
    assert not visit.may_take({**visitor, **extra})
    assert visit.may_take(visitor)


@pytest.mark.parametrize("visitor", [TYPED, LINK, FRAME, FETCH, {}])
def test_visit_is_no_prefetch(visitor: dict[str, str]) -> None:
    assert not visit.is_prefetch(visitor)


def test_names_of_headers_are_read_in_any_case() -> None:
    assert visit.is_prefetch(HTTPHeaders({"sec-purpose": "Prefetch"}))
    assert visit.is_crawler(HTTPHeaders({"user-agent": "TWITTERBOT/1.0"}))


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
    assert visit.may_take(headers) is may
    assert visit.autostart(headers) is auto


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
    assert visit.is_own_page({"Host": HOST, **headers}) is own


@pytest.mark.parametrize("origin", ["null", "", "https://evil.example"])
def test_without_a_host_no_origin_is_ours(origin: str) -> None:
    assert not visit.is_own_page({"Origin": origin})
    assert not visit.is_own_page({"Origin": origin, "Host": ""})
