"""Speaking one language: what a reader's language is, is known once; then sentences are said."""

from netgraft.language.message import render


class Translator:
    """Says sentences in one language: `say = Translator("zh")`, then `say("No model fits.")`."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, template: str, /, **values: object) -> str:
        """The template in the language, filled in with the values."""
        return render(template, values, self.language)
