"""`python -m amr_edge` is `amr-edge`."""

from amr_edge.cli import main

main()
