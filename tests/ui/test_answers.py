"""Yes and no, as people type them."""

import pytest

from netgraft.ui.answers import answer


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "Y", "ok", "OK!", " Yes. ", "run it", "Ok, run it please", "yes, thanks"),
        *("Go ahead!!", "Ｙｅｓ！", "好", "好的。", "执行", "是", "是的，执行吧！", "“好”", "確定"),
    ],
)
def test_a_message_that_only_agrees_is_a_yes(text: str) -> None:
    assert answer(text) is True


@pytest.mark.parametrize(
    "text",
    [
        *("no", "N", "No.", "cancel", "no, cancel it", "Forget it!", "never mind", "no thanks"),
        *("don\u2019t run it", "不", "不要", "取消。", "算了", "不，取消", "放棄", "　不　"),
    ],
)
def test_a_message_that_only_declines_is_a_no(text: str) -> None:
    assert answer(text) is False


@pytest.mark.parametrize(
    "text",
    [
        *("", "...", "hello", "thanks", "yes no", "yes, but 5 epochs", "no, 5 epochs", "note it"),
        *("ok?", "yes?", "好？", "don't cancel", "do not stop", "cancel the job", "不要取消"),
        *("好，取消", "运行 resnet50", "是不是", "yes " * 40, "y" * 10_000),
    ],
)
def test_a_message_that_says_more_or_both_is_neither(text: str) -> None:
    assert answer(text) is None
