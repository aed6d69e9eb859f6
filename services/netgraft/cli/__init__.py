"""The command line.

`commands/` holds the commands, `terminal/` their output for people; `program.py` imports a command
when it is called, and ends every call with the right exit code.

Exit codes: 0 done · 1 an error, or a step or job that did not succeed · 2 wrong usage, or
consent was not given · 3 the planner asked and nobody answered · 4 the planner refuses ·
5 no server answers · 130 Ctrl-C · 141 the reader of the output has gone.

People read results and progress on stdout, errors on stderr. With --json, stdout holds only JSON:
the reply's protobuf JSON on one line (streams: one message a line), or an error as
`{"error": {"reason": …, "message": …}}`, so that a program reads one stream.

Knows nothing of torch and Ray. It starts fast because it imports what a command needs when the
command is called.
"""

from netgraft.cli.program import main

__all__ = ["main"]
