"""python -m trainsmith: the command."""

from trainsmith.cli import main

main()
