"""Requests as nobody's program sends them: members left out, or with anything in them."""

from hypothesis import strategies as st


@st.composite
def requests(draw, members, usual, texts, anything):
    """A request with, as a rule, the members that it should have, and in them what should be there.

    `members`: by request, in one text. `usual`: what a member has if it is no text.
    """
    do = draw(st.sampled_from(sorted(members)))
    request = {"do": do}
    for member in members[do].split():
        if draw(st.integers(0, 9)):
            request[member] = draw(usual.get(member, texts) if draw(st.integers(0, 7)) else anything)
    return request
