"""`python -m namewall`: the same program as the `namewall` script."""

from namewall.cli.main import main

main(prog_name="namewall")
