"""`/spawn/user/<id>`: an empty server at an address of the past, for the browser that had it."""

from __future__ import annotations

from tornado.web import HTTPError

from tmpnb.system.signing import same
from tmpnb.visitors.identity import Visitor
from tmpnb.web.pages.spawn import SpawnHandler


class ReopenHandler(SpawnHandler):
    """`/spawn/user/<id>/…`: an empty server at the address of one that this browser had.

    That server keeps its secret, so that an open tab can save there. Anybody else is sent to
    a server of their own, or to their place in line, as by `/spawn`.
    """

    lasting = frozenset({"POST"})
    measured = False  # its pages may carry the secret

    async def prepare(self) -> None:
        """Take the server's id from the path, and its token from a form that carries it.

        Raises:
            HTTPError: 404, no server here has an id of this form.
        """
        await super().prepare()
        self.server_id = self.path_args[0]
        if not self.site.orchestrator.is_id(self.server_id):
            raise HTTPError(404)
        self.spawn_path = f"/spawn/user/{self.server_id}"
        token = self.from_form("token")
        if same(token, self.site.orchestrator.token_for(self.server_id)):
            self.proof = token

    def may_take_by_link(self) -> bool:
        """Whether a GET takes a server: no link does, only going on after the button."""
        return self.goes_on()

    def asker(self) -> Visitor:
        """Return who asks; browsers that keep no cookie are one for each token they show."""
        visitor = self.visitor()
        is_known = not visitor.is_new or not self.proof
        return (
            visitor if is_known else Visitor(f"of-{self.server_id}", self.server_id, is_lent=True)
        )

    def leads_somewhere(self, visitor: Visitor) -> bool:
        """Whether a visitor has something, or had the server of this address."""
        had = self.site.visitors.had(visitor, self.server_id)
        return had or super().leads_somewhere(visitor)

    def wished_id(self) -> str:
        """Return the id of the past if this browser had it."""
        had = self.proof or self.site.visitors.had(self.visitor(), self.server_id)
        return self.server_id if had else ""
