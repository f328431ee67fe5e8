"""`python -m study` is the command `study`, where no script of that name is on the path."""

from study.cli import main

main()
