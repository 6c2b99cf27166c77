"""What a step can refer to, and where it stands."""

from collections.abc import Collection

import msgspec

from gateway.config.shape import Flaw, Keys, no_such


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """`at`: the keys that lead to the step in its file. `agents`, `destinations`: the names that are defined."""

    at: Keys
    index: int
    agents: Collection[str]
    destinations: Collection[str]

    def unknown(self, key: str, name: str, known: Collection[str], *, what: str | None = None) -> Flaw | None:
        """The flaw of a step's key that names what nobody defined; None if it is known."""
        return None if name in known else Flaw((*self.at, key), no_such(what or key, name, known), name)
