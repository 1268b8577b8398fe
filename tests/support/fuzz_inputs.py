"""What is sent to the site to see what it does: decent, odd and hostile parts of requests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.fuzzed_site import ADMIN_TOKEN, API_TOKEN, PASSPHRASE, TYPED, FuzzedSite
from tests.support.raw_http import Pair, Request, query

# The same requests in each run, however slow the machine is.
BOUNDED = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
MARK = b"zz'\"><script>alert(1)</script><img src=x onerror=alert(1)>"
METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"BREW")
PAGE: list[Pair] = [(b"Accept", b"text/html"), (b"User-Agent", b"Mozilla/5.0 Firefox")]
SCRIPT: list[Pair] = [(b"Accept", b"application/json")]
FORM: Pair = (b"Content-Type", b"application/x-www-form-urlencoded")

PUBLIC = (
    b"/", b"/lab", b"/lab/tree/a.ipynb", b"/notebooks/a.ipynb", b"/tree/x", b"/files/x", b"/doc",
    b"/edit/x", b"/hub/user-redirect/lab", b"/spawn", b"/spawn/lab", b"/spawn/tree/a",
    b"/spawn/user/Ab12Cd34Ef56", b"/spawn/user/Ab12Cd34Ef56/lab", b"/wait/t1", b"/invite",
    b"/invite/lab", b"/info", b"/embed", b"/terms", b"/badge.svg", b"/embed.js", b"/api/spawn",
    b"/api/spawn/", b"/api/servers/Ab12Cd34Ef56", b"/api/servers/Ab12Cd34Ef56/extend",
    b"/session/Ab12Cd34Ef56", b"/session/Ab12Cd34Ef56/files.zip", b"/stats", b"/api/stats",
    b"/api/openapi.json", b"/health", b"/health/ready", b"/logo", b"/user/Ab12Cd34Ef56",
    b"/user/Ab12Cd34Ef56/api/contents/x",
    b"/proxy-error/404", b"/proxy-error/503", b"/static/tmpnb.css", b"/static/favicon.svg",
    b"/robots.txt", b"/favicon.ico", b"/nothing",
)  # fmt: skip
ADMIN = (
    b"/api/pool", b"/api/pool/", b"/api/announcement", b"/health", b"/health/ready",
    b"/static/tmpnb.css", b"/nothing", b"/", b"/admin", b"/admin/", b"/admin/login", b"/api/status",
    b"/api/servers", b"/api/servers/Ab12Cd34Ef56", b"/api/bans", b"/api/bans/192.0.2.0/24",
    b"/api/settings",
)  # fmt: skip

# Put behind addresses, into queries, bodies, headers and cookies.
ODDITIES = (
    b"//evil.example", b"/\\evil.example", b"/%2f%2fevil.example", b"%2f%2fevil.example",
    b"\\\\evil.example", b"/%5cevil.example", b"/%09/evil.example", b"https://evil.example/",
    b"//evil.example/%2e%2e", b"@evil.example", b"/..", b"/../../../../etc/passwd",
    b"/..%2f..%2f..%2fetc%2fpasswd", b"/%2e%2e/%2e%2e/etc/passwd", b"/%252e%252e/secret",
    b"/....//....//etc/passwd", b"/..;/", b"/.", b"//", b"%", b"%zz", b"%u0041", b"%00", b"/%00",
    b"%0d%0aX-Evil:%201", b"%0d%0a%0d%0a<script>", b"%E5%98%8A%E5%98%8DX-Evil:1", b"%ff%fe",
    b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"%ed%a0%80", b"\xe2\x80\xae", b"%e2%80%a8",
    MARK, MARK.replace(b" ", b"%20"), b"%22%3e%3cscript%3ealert(1)%3c/script%3e",
    b"javascript:alert(1)", b"{{7*7}}", b"${7*7}", b"'||1=1", b"A" * 65, b"a" * 5000, b"[", b"]",
    b"[::1", b"http://[", b"?", b"?a=1?b=2", b"&&&&", b"==", b"a;b", b"#x", b"~", b"|", b"^", b"`",
    b"1e999", b"nan", b"-1", b"0x10", b"\xd9\xa3", b"1_000", b"9" * 400, b"null", b"[]", b"true",
)  # fmt: skip
NAMES = (
    b"token", b"url", b"path", b"title", b"height", b"wait", b"arrival", b"ticket", b"fresh",
    b"agree", b"passphrase", b"do", b"v", b"next", b"", b"token[]", b"to%6ben", b"%ff",
)  # fmt: skip
COOKIES = (
    b"tmpnb-visitor",
    b"tmpnb-pass",
    b"tmpnb-terms",
    b"tmpnb-session",
    b"tmpnb-admin",
    b"other",
)
BODIES = (
    b"", b"{}", b"[]", b"null", b"0", b'"x"', b'{"image":1}', b'{"text":null}',
    b'{"text":"\\ud800"}',
    b'{"text":"[a](http://\xc3\xa9)"}', b'{"text":"[a](//evil)"}', b'{"text":"<script>"}',
    b'{"text":"\\u0000"}', b'{"image":"' + b"a" * 300 + b'"}', b'{"image":"a\\nb"}',
    b'{"image":"fake:2","x":1}', b"[" * 100_000, b'{"text":' * 20_000, b'{"a":[' * 5_000,
    b"9" * 10_000, b"\xff\xfe\x00", b"\x00", b"do=stop&do=keep&token=&token=x", b"ticket=%ff",
    b"agree=%00&fresh=1&wait=nan", b"a=" + b"b" * 200_000, b"&".join([b"a=1"] * 5_000),
    b"passphrase=" + TYPED.encode() + b"%ff",
    b"--x\r\nContent-Disposition: form-data; name=\"ticket\"\r\n\r\nt\r\n--x--\r\n",
    b"--x\r\nContent-Disposition: form-data\r\n\r\n--x", b"--x\r\n" * 5_000,
)  # fmt: skip
KINDS = (
    b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x",
    b"multipart/form-data", b"multipart/form-data; boundary=", b"application/json",
    b"application/json; charset=utf-7", b"text/plain", b"text/html", b"\xff", b"",
    b"application/x-www-form-urlencoded; charset=x" * 40,
)  # fmt: skip
HEADERS: tuple[Pair, ...] = (
    (b"Origin", b"null"), (b"Origin", b"https://evil.example"), (b"Origin", b"https://a\tb"),
    (b"Origin", b"https://\xff\xfe"), (b"Origin", b"https://evil.example, https://b.example"),
    (b"Origin", MARK), (b"Referer", b"//evil.example"), (b"Accept", b"text/html" * 500),
    (b"Accept", b"application/json"), (b"Accept", b""), (b"Accept", MARK), (b"User-Agent", MARK),
    (b"User-Agent", b"\xff" * 100), (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Proto", b"javascript"), (b"X-Forwarded-Proto", b"https,\t" + MARK),
    (b"X-Forwarded-For", b"127.0.0.1"), (b"X-Forwarded-For", b"," * 5000),
    (b"X-Forwarded-For", MARK), (b"X-Forwarded-For", b"::1%25x, 999.1.1.1"),
    (b"X-Forwarded-Host", b"evil.example"), (b"Forwarded", b"host=evil.example;proto=x"),
    (b"X-Original-URL", b"//evil.example"), (b"X-Rewrite-URL", b"/api/pool"),
    (b"X-HTTP-Method-Override", b"DELETE"), (b"Authorization", b"token"),
    (b"Authorization", b"Bearer " + b"\xff" * 20), (b"Authorization", b"Basic Og=="),
    (b"Authorization", b"token " + b"x" * 9000), (b"Range", b"bytes=0-0"),
    (b"Range", b"bytes=-1"), (b"Range", b"bytes=99999-"), (b"Range", b"bytes=0-1,2-3,4-5"),
    (b"Range", b"bytes=\xff-9" + b"9" * 400), (b"If-None-Match", b"*"), (b"If-None-Match", b"W/\""),
    (b"If-Modified-Since", b"Thu, 99 Foo 9999"), (b"If-Modified-Since", b"\xff"),
    (b"Expect", b"100-continue"), (b"Expect", b"417"), (b"Content-Encoding", b"gzip"),
    (b"Content-Encoding", b"\xff"), (b"Accept-Encoding", b"gzip;q=nan"), (b"Upgrade", b"websocket"),
    (b"Sec-Fetch-Site", b"cross-site"),
    (b"Sec-Fetch-Dest", b"iframe"), (b"Sec-Purpose", b"prefetch"), (b"X-Tmpnb-Passphrase", b"\xff"),
    (b"X-Tmpnb-Passphrase", TYPED.encode()), (b"X-A", b"a" * 30_000), (b"X-A", b"a" * 70_000),
    (b"Cookie", b"a" * 20_000), (b"Cookie", b"=;=;;;" * 99), (b"Cookie", b'tmpnb-visitor="\\377'),
    (b"Access-Control-Request-Method", b"\xff"), (b"Host", b"evil.example"),
    (b"Host", b"evil.example:99999"), (b"Host", b"evil.example/path"), (b"Host", b"a@evil.example"),
    (b"Host", b"evil.example, site.example"), (b"Host", b""), (b"Host", b"[::1"),
    (b"Host", b"evil.example?x"), (b"Host", b"\xff"), (b"Host", b"evil'-alert(1)-'.example"),
    (b"Host", MARK), (b"Host", b"evil.example\\@x"), (b"Host", b"a" * 5000),
)  # fmt: skip


def addresses(site: FuzzedSite, paths: tuple[bytes, ...]) -> list[bytes]:
    """Return addresses, with those of the server in use beside those of none."""
    mine = site.claimed.encode()
    alive = [path.replace(b"Ab12Cd34Ef56", mine) for path in paths if b"Ab12Cd34Ef56" in path]
    return [*paths, *alive]


def secret_pairs(site: FuzzedSite) -> list[Pair]:
    """Return headers with secrets in them, whole and a little broken."""
    token, visitor = site.token.encode(), site.visitor.encode()
    session, passed = site.session.encode(), site.passed.encode()
    return [
        (b"Authorization", b"token " + token),
        (b"Authorization", b"Bearer " + API_TOKEN.encode()),
        (b"Authorization", b"token " + ADMIN_TOKEN.encode()),
        (b"Authorization", b"token " + token + b"\x00"),
        (b"Authorization", b"token\t" + token + b"\xff"),
        (b"X-Tmpnb-Passphrase", PASSPHRASE.encode()),
        (b"Cookie", session),
        (b"Cookie", session + b"; tmpnb-visitor=" + visitor + b"\x00"),
        (b"Cookie", b"tmpnb-visitor=" + visitor + b"; " + passed),
        (b"Cookie", passed + b"\xff"),
        (b"Cookie: " + passed, b""),
    ]


@st.composite
def targets(draw: st.DrawFn, paths: list[bytes], values: tuple[bytes, ...]) -> bytes:
    """Return request targets: known addresses, odd ones, and queries behind both."""
    path = draw(st.sampled_from(paths) | st.just(b""))
    tails = st.sampled_from(ODDITIES) | st.binary(max_size=12)
    if not path or draw(st.booleans()):
        path += draw(tails)
    if draw(st.booleans()):
        pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from((*values, *ODDITIES)))
        path += b"?" + query(draw(st.lists(pairs, min_size=1, max_size=4)))
    if draw(st.integers(0, 9)) == 0:
        path = draw(st.sampled_from([b"http://evil.example", b"//evil.example", b"*", b"@"])) + path
    return path


@st.composite
def requests(draw: st.DrawFn, site: FuzzedSite, paths: tuple[bytes, ...]) -> Request:
    """Return requests of which each part is decent or odd."""
    values = (site.token.encode(), site.invite.encode(), TYPED.encode() + b"%ff", b"5", b"x")
    method = draw(st.sampled_from(METHODS[:7]) | st.sampled_from(METHODS))
    target = draw(targets(addresses(site, paths), values))
    headers = list(draw(st.sampled_from([PAGE, SCRIPT, []])))
    cookie = st.tuples(st.sampled_from(COOKIES), st.sampled_from((*values, *ODDITIES[:50])))
    odd = st.sampled_from((*HEADERS, *secret_pairs(site))) | cookie.map(
        lambda pair: (b"Cookie", b"%s=%s" % pair)
    )
    headers += draw(st.lists(odd, max_size=3))
    body = b""
    if method not in (b"GET", b"HEAD") or draw(st.integers(0, 9)) == 0:
        body = draw(st.sampled_from(BODIES) | st.binary(max_size=40))
        headers.append((b"Content-Type", draw(st.sampled_from(KINDS))))
    if draw(st.integers(0, 12)) == 0:
        headers.append(draw(st.sampled_from([
            (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"-1"),
            (b"Content-Length", b"1, 1"), (b"Content-Length", b"99999999999"),
            (b"Transfer-Encoding", b"gzip, chunked"), (b"Content-Length", b"0x1"),
        ])))  # fmt: skip
    return Request(method, target, headers, body)
