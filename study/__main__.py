"""`python -m study` runs the command `study`, also if it is not on the path."""

from study.cli import main

main()
