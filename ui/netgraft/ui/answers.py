"""Recognise a yes or a no, in English or Chinese, as the answer to a plan that needs consent.

Only a message that says nothing else counts: "yes, but 5 epochs" is a correction, which the
planner reads. A message that says both yes and no is neither.
"""

import re
import unicodedata

AGREEING = """
    y, yes, yep, yeah, yup, ok, okay, sure, fine, right, correct, agreed, agree, i agree, confirm,
    confirmed, go, go on, go ahead, go for it, do it, do so, run, run it, run this, run that,
    run the plan, run this plan, start, start it, execute, execute it, proceed, continue, carry on,
    carry it out, looks good, sounds good, lgtm, please, please do, of course, absolutely,
    好, 好的, 好吧, 好啊, 好呀, 好了, 行, 行吧, 可以, 可以的, 是, 是的, 是啊, 对, 对的, 嗯, 没错,
    没问题, 当然, 同意, 我同意, 确认, 确定, 执行, 执行吧, 请执行, 运行, 运行吧, 请运行, 开始,
    开始吧, 请开始, 继续, 继续吧, 跑吧, 来吧, 就这样, 就这么办,
    對, 對的, 沒錯, 沒問題, 當然, 確認, 確定, 執行, 執行吧, 請執行, 運行, 運行吧, 開始, 開始吧
"""
DECLINING = """
    n, no, nope, nah, no thanks, no thank you, not now, cancel, cancel it, cancel this, cancel that,
    cancel the plan, cancel this plan, discard, discard it, discard the plan, discard this plan,
    drop it, forget it, forget that, never mind, nevermind, leave it, abort, abort it, stop,
    stop it, don't, do not, don't do it, do not do it, don't run it, do not run it,
    please don't,
    不, 不了, 不要, 不要了, 不用, 不用了, 不必, 不必了, 不行, 不可以, 不好, 不是, 不同意, 不执行,
    不运行, 不要执行, 不要运行, 否, 别, 别了, 别执行, 别运行, 算了, 算了吧, 取消, 取消吧, 取消计划,
    取消这个计划, 放弃, 放弃吧, 停, 停止, 先不要, 先不了, 暂时不要, 没事了,
    不執行, 不運行, 不要執行, 別, 取消計劃, 放棄, 放棄吧
"""
POLITE = {"please", "thanks", "thank you", "thx", "谢谢", "谢谢你", "谢谢您", "謝謝"}
"""May stand beside a yes or a no; by itself it is neither."""
LONGEST = 100
"""Characters; a longer message says more than yes or no."""
BREAK = re.compile(r"\s*[,.!;:~、。…—-]+\s*")
"""Between phrases; NFKC has made full-width punctuation ASCII by then."""
AROUND = " \"'`()[]“”「」,.!;:~、。…—-"


def answer(text: str) -> bool | None:
    """Return True if the text agrees and says nothing else, False if it declines; else None.

    A question is not an answer: a plan that needs consent does not run because of "ok?".
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().replace("’", "'").split())
    pieces = BREAK.split(plain.strip(AROUND)) if len(plain) <= LONGEST else []
    said = [piece for piece in pieces if piece and piece not in POLITE]
    if not said:
        return None
    if all(map(_YES.fullmatch, said)):
        return True
    return False if all(map(_NO.fullmatch, said)) else None


def _one_of(phrases: str) -> str:
    known = sorted((" ".join(phrase.split()) for phrase in phrases.split(",")), key=len)
    return "(?:" + "|".join(map(re.escape, reversed(known))) + ")"


_YES = re.compile(f"{_one_of(AGREEING)}(?: {_one_of(AGREEING)})*")
"""Phrases may follow one another: "yes run it please"."""
_NO = re.compile(f"(?:no )?{_one_of(DECLINING)}")
"""Only one phrase: "don't" and "cancel" are both a no, but "don't cancel" is neither."""
