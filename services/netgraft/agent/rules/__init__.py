"""Sentence → Plan, by rules, offline, in English and Chinese.

A cascade in which each stage sees only what the one before it made:

    text      what was typed, cleaned (`text`)
    tokens    words, numbers, names, paths; every character belongs to one (`tokens`)
    items     local patterns become slots: "for 2 epochs" → epochs 2 (`grammar`)
    clauses   one action each, with its slots, in the order meant (`clauses`)
    steps     PLAN.md's JSON, with "$N" references (`assemble`)

What no stage can account for becomes a question that names it: nothing is dropped,
and no model, data set or number is guessed. The planner is a pure function of a
text and a `Context`. It knows nothing of torch, gRPC, protobuf and the database.
"""

from netgraft.agent.rules.planner import Context, Planner, default_planner
from netgraft.agent.rules.reply import Reply, Steps

__all__ = ["Context", "Planner", "Reply", "Steps", "default_planner"]
