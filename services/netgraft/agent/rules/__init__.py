"""Sentence → Plan, by rules, offline, in English and Chinese.

A cascade in which each stage sees only what the one before it made:

    text      what was typed, cleaned (`text`)
    tokens    words, numbers, names, paths; every character belongs to one (`tokens`)
    items     local patterns become slots: "for 2 epochs" → epochs 2 (`grammar`)
    clauses   one action each, with its slots, in the order meant (`clauses`)
    steps     typed, with "$N" references (`assemble`)

What no stage can account for becomes a question that names it: nothing is dropped,
and no model, data set or number is guessed. The planner is a pure function of a
text and a `Context`. It knows nothing of torch, gRPC, protobuf and the database.
"""

from netgraft.agent.rules.planner import RulePlanner, default_planner

__all__ = ["RulePlanner", "default_planner"]
