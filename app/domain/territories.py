"""Whose a file is by where it lies, where several tables' locations are near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.domain.locations import normalise_location


class Territories:
    """The locations of one table and of all others of its catalog.

    Locations are compared as `normalise_location` writes them.
    """

    def __init__(self, own: Sequence[str], others: Mapping[str, Sequence[str]]) -> None:
        """`own` are where the table writes, its location first; `others` where each other one does, by its name."""
        self._location = normalise_location(own[0])
        self._own = {normalise_location(location) for location in own}
        self._others = {
            normalise_location(location): name for name, locations in others.items() for location in locations
        }

    def find_twin(self) -> str | None:
        """A table that has the very same location: it may be the same table under another name."""
        return self._others.get(self._location)

    def find_overlap(self) -> str | None:
        """A table whose location is the same, inside this one's, or around it."""
        for place, name in sorted(self._others.items()):
            if any(_is_within(place, own) or _is_within(own, place) for own in self._own):
                return name
        return None

    def find_owner(self, path: str) -> str | None:
        """The other table that a file lies with: the innermost location that it is in is that one's."""
        if not self._others:
            return None
        place = normalise_location(path)
        while place:
            if place in self._own:
                return None
            if place in self._others:
                return self._others[place]
            place = place.rpartition("/")[0]
        return None


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")
