""" "Show resnet50 with random weights": the model `resnet50@none`."""

from dataclasses import replace

from netgraft.agent.rules.names import ModelNames
from netgraft.agent.rules.tokens import Token

WITHOUT = "@none"
_LINKS = ("with", "use", "from")


def without_weights(tokens: list[Token], names: ModelNames) -> list[Token]:
    """The tokens with random weights said as part of the model's name.

    Only where one model of the catalogue is named, and nothing is denied; else the words stay,
    and are asked about.
    """
    if not any(token.has("randomweights") for token in tokens):
        return tokens
    named = {token.value for token in tokens if token.tag == "model" and token.value is not None}
    if len(named) != 1 or not named <= names.known:
        return tokens
    kept: list[Token] = []
    for token in tokens:
        if token.has("randomweights"):
            if kept and kept[-1].has("not"):
                return tokens
            if kept and kept[-1].has(*_LINKS):
                kept.pop()
        elif token.tag == "model" and token.value is not None:
            kept.append(replace(token, value=token.value + WITHOUT))
        else:
            kept.append(token)
    return kept
