"""Topic exchanges: patterns of words, where `*` is one word and `#` any number of words (AMQP 0-9-1 section 3.1.3.3).

Decides by a trie over the words of the patterns, walked with all its possible places at once: the cost grows with the
words of the key and the places reached, never with the number of bindings. It must not know what the words mean.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from broker.routing.exchange import Destination, Destinations, Exchange, Message


class _Node:
    """One place in the trie: where patterns end or go on."""

    __slots__ = ("children", "ends", "many", "one", "swallows")

    def __init__(self, *, swallows: bool = False) -> None:
        self.swallows = swallows  # this is a `#`: it may take any further word and still stand here
        self.children: dict[str, _Node] = {}  # by literal word, and by `*` and `#`, too
        self.one: _Node | None = None  # children["*"]
        self.many: _Node | None = None  # children["#"]
        self.ends = Destinations()  # of the patterns that end here


class Topic(Exchange):
    """Destinations by pattern."""

    def __init__(self) -> None:
        self._root = _Node()

    def bind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Messages whose key matches the pattern `key` go there."""
        node = self._root
        for word in words_of(key):
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = _Node(swallows=word == "#")
                if word == "*":
                    node.one = child
                elif word == "#":
                    node.many = child
            node = child
        node.ends.add(destination)

    def unbind(self, destination: Destination, key: str, arguments: Mapping[str, Any]) -> None:
        """Undo `bind`, and the places that only this pattern needed."""
        path = [self._root]
        words = words_of(key)
        for word in words:
            path.append(path[-1].children[word])
        path[-1].ends.remove(destination)
        for parent, word, child in zip(reversed(path[:-1]), reversed(words), reversed(path[1:]), strict=True):
            if child.children or child.ends:
                return
            del parent.children[word]
            if word == "*":
                parent.one = None
            elif word == "#":
                parent.many = None

    def match(self, keys: Sequence[str], message: Message) -> Collection[Destination]:
        """What any of the keys' words match."""
        found: dict[Destination, None] = {}
        for key in keys:
            for node in self._places_after(words_of(key)):
                found.update(dict.fromkeys(node.ends))
        return found

    def _places_after(self, words: list[str]) -> Iterable[_Node]:
        """All nodes at which a pattern that matches the words may end."""
        places: dict[_Node, None] = {}
        _enter(places, self._root)
        for word in words:
            before, places = places, {}
            for node in before:
                if node.swallows:
                    _enter(places, node)
                if (child := node.children.get(word)) is not None:
                    _enter(places, child)
                if node.one is not None:
                    _enter(places, node.one)
        return places


def _enter(places: dict[_Node, None], node: _Node) -> None:
    """Reach a node, and by a `#` that takes no word those behind it."""
    reached: _Node | None = node
    while reached is not None and reached not in places:
        places[reached] = None
        reached = reached.many


def words_of(key: str) -> list[str]:
    """The words of a key or pattern; the empty key has none."""
    return key.split(".") if key else []
