"""Permalinks: a view as a query, and back."""

import pytest

from netgraft.errors import InvalidValue
from netgraft.graph.viewer.view import View


def test_a_view_is_written_as_a_query_and_read_back() -> None:
    view = View("layer4.1.conv2", "flops", ("layer4", "layer3.0"), batch=32)
    assert view.query() == "focus=layer4.1.conv2&lens=flops&open=layer4&open=layer3.0&batch=32"
    assert View.parse(view.query()) == view
    assert View().query() == ""
    assert View.parse("") == View()


@pytest.mark.parametrize("query", ["lens=beauty", "batch=0", "batch=-1", "batch=1e9", "batch=x"])
def test_a_query_that_makes_no_sense_is_refused(query: str) -> None:
    with pytest.raises(InvalidValue):
        View.parse(query)


def test_what_a_query_says_beyond_is_passed_over() -> None:
    assert View.parse("language=zh&bar=none&focus=fc") == View("fc")
