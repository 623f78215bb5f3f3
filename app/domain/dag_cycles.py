"""Finding a cycle, and a short one: what somebody has to look at who drew it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

# Looking for the shortest cycle takes time with tasks times edges. Up to here (tasks times edges of the part that has
# cycles) it is looked for everywhere; in larger graphs the search ends after so many edges, a second or less.
SEARCHED_EDGES = 2_000_000


def find_cycle(edges: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """The nodes of a cycle in order, the last one leading to the first, its least node first; empty without one.

    It is a shortest one unless the graph is so large that the search has to end (`SEARCHED_EDGES`). The same edges in
    another order give the same cycle. Linear in the edges where there is none.
    """
    followers = _with_cycles(edges)
    if not followers:
        return ()
    best = _any_cycle(followers)
    left = SEARCHED_EDGES
    for start in followers:
        if len(best) == 1 or left <= 0:
            break
        found, looked_at = _shortest_through(start, followers, shorter_than=len(best))
        left -= looked_at
        best = found or best
    least = best.index(min(best))
    return best[least:] + best[:least]


def _with_cycles(edges: Collection[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    """What follows each node, of the nodes that lie on cycles or between them, all in order."""
    left = set(edges)
    for is_reversed in (False, True):
        left -= _leading_edges(left, is_reversed)
    followers: dict[str, list[str]] = {}
    for source, target in sorted(left):
        followers.setdefault(source, []).append(target)
    return followers


def _leading_edges(edges: set[tuple[str, str]], is_reversed: bool) -> set[tuple[str, str]]:
    """The edges that leave nodes to which no cycle leads (Kahn, "Topological sorting of large networks", 1962)."""
    oriented = [(edge[1], edge[0]) if is_reversed else edge for edge in edges]
    followers: dict[str, list[str]] = {}
    waiting_for: dict[str, int] = {}
    for source, target in oriented:
        followers.setdefault(source, []).append(target)
        waiting_for[target] = waiting_for.get(target, 0) + 1
    ready = [node for node in followers if node not in waiting_for]
    done: set[tuple[str, str]] = set()
    while ready:
        source = ready.pop()
        for target in followers.get(source, ()):
            done.add((target, source) if is_reversed else (source, target))
            waiting_for[target] -= 1
            if not waiting_for[target]:
                ready.append(target)
    return done


def _any_cycle(followers: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Where one ends up who always takes the first way; each node here has one."""
    node = next(iter(followers))
    steps: dict[str, int] = {}
    while node not in steps:
        steps[node] = len(steps)
        node = followers[node][0]
    return tuple(steps)[steps[node] :]


def _shortest_through(
    start: str, followers: Mapping[str, Sequence[str]], *, shorter_than: int
) -> tuple[tuple[str, ...], int]:
    """The shortest cycle through a node, if it is that short, and how many edges were looked at."""
    came_from: dict[str, str] = {}
    depths = {start: 1}
    queue = deque([start])
    looked_at = 0
    while queue:
        node = queue.popleft()
        if depths[node] >= shorter_than:
            break
        for target in followers[node]:
            looked_at += 1
            if target == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return tuple(reversed(path)), looked_at
            if target not in depths:
                depths[target] = depths[node] + 1
                came_from[target] = node
                queue.append(target)
    return (), looked_at
