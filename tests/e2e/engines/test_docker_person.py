"""What an image's passwd file says of a user to us is what the engine makes of it."""

from __future__ import annotations

import io
import tarfile

import pytest

from tests.support.engines.docker import RealEngine
from tests.support.requirements import TEST_IMAGE
from tmpnb.spawners.docker.image.user import entries, person

pytestmark = pytest.mark.docker

OTHER = "other:x:5:5::/:/bin/sh\n"
ODD = {
    "1_0": "1_0:x:0:0::/:/bin/sh\n",
    "\uff11": "\uff11:x:7:0::/:/bin/sh\n",
    "fullwidth": "fullwidth:x:\uff11:1::/:/bin/sh\n",
    "underscore": "underscore:x:1_0:1::/:/bin/sh\n",
    "plus": "plus:x:+8:1::/:/bin/sh\n",
    "many": "many:x:many:1::/:/bin/sh\n",
    "short": "short:x\n",
    "one line": "one line\n",
    "next": "x\x85next:x:5:5::/:/bin/sh\nnext:x:9:0::/:/bin/sh\n",
    "group": "x\x1cgroup:x:5:5::/:/bin/sh\ngroup:x:9:0::/:/bin/sh\n",
    "\x1cunit": "unit:x:5:5::/:/bin/sh\n\x1cunit:x:9:0::/:/bin/sh\n",
    "blank": "\xa0\x85\u3000blank:x:9:0::/:/bin/sh\n",
    "return": "x\rreturn:x:5:5::/:/bin/sh\nreturn:x:9:0::/:/bin/sh\r\n",
    "0010": OTHER,
    "+11": OTHER,
}


def packed(text: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("passwd")
        entry.size, entry.mode = len(text.encode()), 0o644
        tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.mark.parametrize("user", ODD, ids=ascii)
def test_a_user_is_to_us_who_it_is_to_the_engine(engine: RealEngine, user: str) -> None:
    passwd = OTHER + ODD[user]
    made = engine.client.create_container(
        TEST_IMAGE, entrypoint=["id", "-u"], command=[], user=user, labels=engine.labels
    )
    engine.client.put_archive(made["Id"], "/etc", packed(passwd))
    engine.client.start(made["Id"])
    assert engine.client.wait(made["Id"])["StatusCode"] == 0
    printed = engine.client.logs(made["Id"]).decode().strip()
    assert printed == str(person(user, (), entries(passwd)).user_id)
