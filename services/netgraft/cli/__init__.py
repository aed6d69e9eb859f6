"""The command line.

`commands/` holds the commands, `terminal/` what a terminal shows; `program.py` finds a command when
it is called and ends every call with the right code.

Exit codes: 0 done · 1 an error, or a step or job that did not succeed · 2 wrong usage, or
consent was not given · 3 the planner asks and nobody answered · 4 the planner refuses ·
5 no server answers · 130 Ctrl-C · 141 the reader of the output went away.

A person reads results and progress on stdout, errors on stderr. With --json stdout holds JSON
only, the reply's protobuf JSON on one line (streams: one message a line), and an error is
`{"error": {"reason": …, "message": …}}`, on stdout too, so that a program reads one stream.

Knows nothing of torch and Ray; it starts fast because it imports what a command needs when the
command is called.
"""

from netgraft.cli.program import main

__all__ = ["main"]
