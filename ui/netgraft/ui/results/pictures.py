"""Pictures of a results page: worst mistakes, and those behind a cell of the confusion."""

from collections.abc import Iterable
from html import escape
from urllib.parse import quote, urlencode

from netgraft.language import Translator
from netgraft.ui.figures import share
from netgraft.v1 import tuning_pb2

AnyAnswer = tuning_pb2.Answer | tuning_pb2.Mistake


def page_address(job: str) -> str:
    """The address of a job's results."""
    return f"/jobs/{quote(job, safe='')}"


def picture_address(job: str, file: str) -> str:
    """The address of a small picture."""
    return f"{page_address(job)}/picture?{urlencode({'file': file})}"


def cell_address(job: str, truth: str = "", said: str = "", start: int = 0) -> str:
    """The address of the pictures of one class that were taken for another."""
    asked = {"truth": truth, "said": said, "start": start}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{page_address(job)}/pictures" + (f"?{query}" if query else "")


def gallery(job: str, answers: Iterable[AnyAnswer], say: Translator) -> str:
    """Pictures with their names, their classes, and what was said of them."""
    return f'<ul class="gallery">{"".join(_picture(job, each, say) for each in answers)}</ul>'


def _picture(job: str, answer: AnyAnswer, say: Translator) -> str:
    right = answer.truth == answer.said
    verdict = (
        say("{truth}, rightly", truth=answer.truth)
        if right
        else say("{truth}, taken for {said}", truth=answer.truth, said=answer.said)
    )
    source, name = escape(picture_address(job, answer.file)), escape(answer.file)
    kind = "right" if right else "wrong"
    return (
        f'<li class="{kind}"><figure><img src="{source}" alt="{name}" loading="lazy" '
        f'width="128" height="128"><figcaption><span class="verdict">{escape(verdict)} '
        f"<b>{share(answer.probability)}</b></span>"
        f'<span class="file">{name}</span></figcaption></figure></li>'
    )
