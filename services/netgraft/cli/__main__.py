"""`python -m netgraft.cli`: the same as `netgraft`, for a child process of our own."""

from netgraft.cli.program import main

main(prog_name="netgraft")
