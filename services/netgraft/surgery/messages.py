"""What people are told of an edit, in English and Chinese."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netgraft.language import Message
    from netgraft.models.edits.dropout import Dropout
    from netgraft.models.edits.lora import Lora
    from netgraft.models.edits.replace import Replace
    from netgraft.surgery.warm import Warm

MOST_NAMES = 8

WHY = {
    "untrained": (
        "No class keeps its weights: those of the model are random, or not on this machine",
        "没有类别保留权重：模型的权重是随机的，或不在本机上",
    ),
    "unnamed": (
        "No class keeps its weights: the names of the model's classes are not known; a map to "
        "their places, such as cat=#3, says which are kept",
        "没有类别保留权重：不知道模型的类别名；可用序号指定要保留的类别，例如 cat=#3",
    ),
    "unlike": (
        "No class keeps its weights: the model knows none by these names",
        "没有类别保留权重：模型中没有这些名称的类别",
    ),
}


class Words:
    """Speaks one language: "zh", or English for any other."""

    def __init__(self, language: str) -> None:
        self.chinese = language.startswith("zh")

    def _say(self, english: str, chinese: str) -> str:
        return chinese if self.chinese else english

    def summary(self, said: Sequence[str]) -> str:
        """Several sentences as one text."""
        return self._say(". ".join(said) + ".", "。".join(said) + "。")

    def described(self, line: "Message") -> str:
        """An edit in its own words."""
        return line.say("zh" if self.chinese else "en")

    def background(self, classes: int) -> str:
        """That a detector tells one more class apart than were asked for."""
        return self._say(f"{classes:,} classes and the background", f"{classes:,} 个类别和背景")

    def kept(self, kept: Sequence[tuple[str, str]], classes: int, warm: "Warm") -> list[str]:
        """Which of the new classes keep their weights, as pairs of name now and before."""
        said = []
        if kept:
            names = [self._class(new, old) for new, old in kept]
            listed = ", ".join(names[:MOST_NAMES]) + (", …" if names[MOST_NAMES:] else "")
            said.append(
                self._say(
                    f"{len(kept):,} of {classes:,} classes keep their weights ({listed})",
                    f"{classes:,} 个类别中有 {len(kept):,} 个保留权重（{listed}）",
                )
            )
        elif reason := "untrained" if warm.kept else warm.reason:
            said.append(self._say(*WHY[reason]))
        if warm.ambiguous:
            unsure = ", ".join(warm.ambiguous)
            said.append(
                self._say(
                    f"Several of the model's classes bear one of these names, so these start anew: "
                    f"{unsure}",
                    f"模型中有多个类别使用以下名称，因此重新初始化：{unsure}",
                )
            )
        return said

    def trainable(
        self, layers: Sequence[str], trainable: bool, trains: int, of: int, norms: int
    ) -> list[str]:
        """What was frozen or freed, what trains now, and which batch norms stand still."""
        named = ", ".join(layers)
        change = (
            self._say(f"Trains again: {named}", f"重新训练：{named}")
            if trainable
            else self._say(f"Frozen: {named}", f"已冻结：{named}")
        )
        count = self._say(
            f"{trains:,} of {of:,} parameters train", f"{of:,} 个参数中有 {trains:,} 个参与训练"
        )
        return [change, count, *self._still(norms)]

    def _still(self, norms: int) -> list[str]:
        if not norms:
            return []
        one = norms == 1
        return [
            self._say(
                f"{norms:,} frozen batch norm{'' if one else 's'} "
                f"keep{'s its' if one else ' their'} running statistics",
                f"{norms:,} 个已冻结的 BatchNorm 保持其统计量",
            )
        ]

    def loss(self, name: str, says: str) -> str:
        """What training minimises from now on."""
        return self._say(f"Loss: {name} ({says})", f"损失函数：{name}")

    def undone(self, title: str) -> str:
        """Which model is the current one again."""
        return self._say(f"Back to {title}", f"回到 {title}")

    def replaced(self, edit: "Replace", old: str) -> str:
        """Which layer stands where another stood."""
        change = f"{edit.path}: {old} → {edit.layer}"
        anew = self._say("; its weights start anew", "；其权重重新初始化")
        return change + anew if edit.tensors or edit.draw else change

    def adapted(self, edit: "Lora", trains: int, of: int, norms: int) -> list[str]:
        """Where adapters stand now, what trains, and which batch norms stand still."""
        return [
            self._say(
                f"LoRA adapters of rank {edit.rank} beside {len(edit.layers):,} layers",
                f"在 {len(edit.layers):,} 个层旁加入秩为 {edit.rank} 的 LoRA 适配器",
            ),
            self._say(
                f"They and the head train: {trains:,} of {of:,} parameters",
                f"只训练适配器和分类头：{of:,} 个参数中的 {trains:,} 个",
            ),
            *self._still(norms),
        ]

    def dropped(self, edit: "Dropout") -> list[str]:
        """Where dropout stands now, in one sentence for what is new and one for what was there."""
        said = []
        if edit.layers:
            where = ", ".join(edit.layers)
            said.append(
                self._say(
                    f"Dropout({edit.p:g}) before {where}", f"{where} 之前加入 Dropout({edit.p:g})"
                )
            )
        if edit.dropouts:
            where = ", ".join(edit.dropouts)
            said.append(self._say(f"{where}: Dropout({edit.p:g})", f"{where}：Dropout({edit.p:g})"))
        return said

    def _class(self, new: str, old: str) -> str:
        if new.casefold() == old.casefold():
            return new
        return self._say(f"{new} from {old}", f"{new} 来自 {old}")
