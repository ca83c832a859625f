"""What is said when a newer release wrote on a disk that this one is given.

Decides the words. Whoever finds a version or a kind that it does not know raises this before it changes anything.
"""


class NewerFormat(Exception):
    """Nothing was changed, and nothing is served."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(
            f"{path} has {what}, which this release does not know: start the release that wrote it, or a newer one"
        )
