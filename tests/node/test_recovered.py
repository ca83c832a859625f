"""What was found on disk becomes pages, none larger than one load may bring."""

from broker.node.recovered import pages_of
from broker.queues.page import PAGE_BYTES_MAX, PAGE_MESSAGES_MAX
from broker.wire.records import Extent


def test_long_extents_become_pages_of_a_size_to_be_loaded():
    extents = [
        Extent(1, 5, 1, 10_000, 3, True, 1_000_000),
        Extent(1, 5, 10_001, 3, 0, False, 9_000_000),
        Extent(1, 5, 10_004, 2, 0, False, 0),
    ]
    pages = list(pages_of(extents))
    assert [page.first for page in pages[1:]] == [page.last + 1 for page in pages[:-1]]
    assert (pages[0].first, pages[-1].last) == (1, 10_005)
    assert sum(page.body_bytes for page in pages) == 10_000_000
    assert all(page.count <= PAGE_MESSAGES_MAX and page.persistent for page in pages)
    assert all(page.body_bytes <= PAGE_BYTES_MAX or page.count == 1 for page in pages)
    assert [(page.priority, page.expires) for page in (pages[0], pages[-1])] == [(3, True), (0, False)]
