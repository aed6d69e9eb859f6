"""The command line.

    program.py      the root command: finds the others when they are called, ends calls
    command.py      what all commands share: --json, --server, --local, --language, examples
    session.py      what one call is about: which server, which language, how it prints
    door.py         the services: in this process, or at a server, behind the same calls
    oneshot.py      a process that does one thing and ends: quickly
    failure.py      errors as one sentence and an exit code
    language.py     English and Chinese
    output.py       JSON, tables, numbers for people
    reference.py    MODEL arguments: completion and the weights policy
    localfiles.py   the user's files and folders, and what the server can read of them
    look.py         show, inspect, diff, models
    edit.py         retarget, freeze, unfreeze, set-loss, replace, dropout, undo
    take.py         export
    tune.py         finetune, jobs, status, watch, cancel, resume
    talk.py         plan, do
    card.py         a plan in words
    planfile.py     plan files, JSON or YAML
    follow.py       the events of a job, without a gap when the connection breaks
    progress.py     a job as a progress bar or as lines
    story.py        a plan being carried out, as people and as programs read it
    house.py        up, token, doctor, completion
    checks.py       what doctor looks at
    probe.py        torch and Ray tried in processes of their own
    demo.py         the demo: a whole netgraft, one sentence
    child.py        a `netgraft up` of one's own, ended for certain

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
