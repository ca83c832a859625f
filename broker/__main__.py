"""`python -m broker` is the command `warren`."""

from broker.cli.entry import main

main()
