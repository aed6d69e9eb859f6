"""The edits of a recipe, one a file: what each does, as code, in words, and what it changes.

A new edit is a file here with a frozen dataclass derived from `edit.Edit`, and an operation in
`netgraft.surgery` that makes it; no list names it. Packages outside define theirs in a module
that they name as an entry point of the group `netgraft.edits`, or that they import themselves.
"""
