"""What a person is told while a plan runs: titles and summaries, in English and Chinese."""

from collections.abc import Mapping, Sequence
from typing import Any

from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2

Pair = tuple[str, str]

_TITLES: dict[str, Pair] = {
    "show": ("Draw {model}", "绘制 {model}"),
    "compare": ("Compare {a} with {b}", "比较 {a} 与 {b}"),
    "retarget": ("Retarget {model} to {count} classes", "把 {model} 改成 {count} 类"),
    "freeze": ("Freeze {layers} of {model}", "冻结 {model} 的 {layers}"),
    "unfreeze": ("Unfreeze {layers} of {model}", "解冻 {model} 的 {layers}"),
    "set_loss": ("Set the loss of {model} to {loss}", "把 {model} 的损失设为 {loss}"),
    "undo": ("Undo the last edit of {model}", "撤销 {model} 的上一次修改"),
    "finetune": ("Fine-tune {model} on {data}", "在 {data} 上微调 {model}"),
    "evaluate": ("Evaluate {model} on {data}", "在 {data} 上评估 {model}"),
    "predict": ("Predict {input} with {model}", "用 {model} 预测 {input}"),
    "export": ("Export {model} as {format}", "把 {model} 导出为 {format}"),
    "list_models": ("Search the model zoo", "搜索模型库"),
    "inspect": ("Inspect {model}", "查看 {model} 的信息"),
    "status": ("Look at {job}", "查看{job}"),
    "cancel": ("Cancel {job}", "取消{job}"),
    "resume": ("Resume {job}", "恢复{job}"),
    "list_jobs": ("List the tuning jobs", "列出训练任务"),
}

_STATES: dict[int, Pair] = {
    tuning_pb2.JOB_STATE_QUEUED: ("queued", "排队中"),
    tuning_pb2.JOB_STATE_RUNNING: ("running", "运行中"),
    tuning_pb2.JOB_STATE_SUCCEEDED: ("succeeded", "已成功"),
    tuning_pb2.JOB_STATE_FAILED: ("failed", "失败"),
    tuning_pb2.JOB_STATE_CANCELLED: ("cancelled", "已取消"),
}

SHORT = 12
"""Digits of a model id that people are shown."""


class Teller:
    """Speaks one language: "zh", or English for any other."""

    def __init__(self, language: str) -> None:
        self.chinese = language.startswith("zh")

    def _say(self, pair: Pair, **values: object) -> str:
        return pair[self.chinese].format(**values)

    def title(self, action: str, fields: Mapping[str, Any]) -> str:
        """One line for a step that begins."""
        model = self._say(("the model", "模型"))
        job = self._say(("the job", "任务"))
        named = {key: self._name(str(fields.get(key, "")), model) for key in ("model", "a", "b")}
        return self._say(
            _TITLES[action],
            **{
                **named,
                "layers": ", ".join(fields.get("layers", ())),
                "loss": fields.get("loss", ""),
                "data": fields.get("data", ""),
                "input": fields.get("input", ""),
                "format": fields.get("format", ""),
                "count": fields.get("classes") or len(fields.get("class_names", ())),
                "job": f" {fields['job']}".strip() if fields.get("job") else job,
            },
        )

    def _name(self, reference: str, fallback: str) -> str:
        return fallback if not reference or reference.startswith("$") else reference

    def drawn(self, graph: graph_pb2.Graph) -> str:
        pair = (
            "{title}: {boxes} boxes at the top level, {parameters:,} parameters "
            "({trainable:,} train).",
            "{title}：顶层 {boxes} 个节点，{parameters:,} 个参数（其中 {trainable:,} 个可训练）。",
        )
        return self._say(
            pair,
            title=graph.title,
            boxes=graph.top_level_nodes,
            parameters=graph.parameters,
            trainable=graph.trainable_parameters,
        )

    def compared(self, diff: graph_pb2.GraphDiff) -> str:
        if not diff.differences:
            return self._say(("The two models are alike.", "两个模型相同。"))
        pair = (
            "{count} modules differ; {a:,} parameters against {b:,}.",
            "{count} 个模块不同；参数量 {a:,} 对 {b:,}。",
        )
        return self._say(
            pair, count=len(diff.differences), a=diff.a_parameters, b=diff.b_parameters
        )

    def edited(self, reply: surgery_pb2.EditReply) -> str:
        pair = (
            "{summary} · parameters {before:,} → {after:,} · trainable {train_before:,} → "
            "{train_after:,} · model {id}",
            "{summary} · 参数 {before:,} → {after:,} · 可训练 {train_before:,} → "
            "{train_after:,} · 模型 {id}",
        )
        return self._say(
            pair,
            summary=reply.summary or reply.model.title,
            before=reply.parameters_before,
            after=reply.parameters_after,
            train_before=reply.trainable_before,
            train_after=reply.trainable_after,
            id=reply.model.id[:SHORT],
        )

    def tuned(self, job: tuning_pb2.Job) -> str:
        if "accuracy" not in job.metrics:
            pair = ("Training finished. New model {id}.", "训练完成。新模型 {id}。")
            return self._say(pair, id=job.result_model[:SHORT])
        pair = (
            "Training finished: accuracy {accuracy:.1f} % on held-out examples. New model {id}.",
            "训练完成：留出样本上的准确率 {accuracy:.1f} %。新模型 {id}。",
        )
        return self._say(pair, accuracy=100 * job.metrics["accuracy"], id=job.result_model[:SHORT])

    def stopped(self, job: tuning_pb2.Job) -> str:
        pair = (
            "Job {id} was cancelled. “resume” goes on from its last checkpoint.",
            "任务 {id} 已取消。说“继续训练”可从最近的检查点恢复。",
        )
        return self._say(pair, id=job.id)

    def job(self, job: tuning_pb2.Job) -> str:
        state = self._say(_STATES.get(job.state, ("unknown", "未知")))
        line = f"{job.id}: {state}"
        event = job.last_event
        if event.total_steps:
            pair = (", step {step} of {total}", "，第 {step} 步，共 {total} 步")
            line += self._say(pair, step=event.step, total=event.total_steps)
        if "accuracy" in job.metrics:
            pair = (", accuracy {accuracy:.1f} %", "，准确率 {accuracy:.1f} %")
            line += self._say(pair, accuracy=100 * job.metrics["accuracy"])
        if job.error_message:
            line += f" · {job.error_message}"
        return line

    def jobs(self, jobs: Sequence[tuning_pb2.Job]) -> str:
        if not jobs:
            return self._say(("There are no such jobs.", "没有这样的任务。"))
        return "\n".join(self.job(job) for job in jobs)

    def found(self, reply: models_pb2.ListModelsReply) -> str:
        shown = reply.entries[:10]
        names = ", ".join(f"{e.name} ({e.title})" if e.title else e.name for e in shown)
        pair = ("{total} models: {names}{more}", "{total} 个模型：{names}{more}")
        if not reply.total:
            return self._say(("No model matches.", "没有符合条件的模型。"))
        return self._say(pair, total=reply.total, names=names, more="…" if reply.total > 10 else "")

    def inspected(self, found: surgery_pb2.Inspection) -> str:
        heads = "; ".join(
            f"{h.path}: {h.type}({h.in_features} → {h.out_features})" for h in found.heads
        )
        pair = (
            "{title}: {parameters:,} parameters ({trainable:,} train), {flops:.2f} GFLOPs, "
            "input {shape}, head {heads}.",
            "{title}：{parameters:,} 个参数（其中 {trainable:,} 个可训练），{flops:.2f} GFLOPs，"
            "输入 {shape}，分类头 {heads}。",
        )
        return self._say(
            pair,
            title=found.model.title,
            parameters=found.parameters,
            trainable=found.trainable_parameters,
            flops=found.flops / 1e9,
            shape="×".join(map(str, found.input_shape)),
            heads=heads or "-",
        )

    def exported(self, ready: agent_pb2.ExportReady) -> str:
        pair = ("{format} of model {id} is ready.", "模型 {id} 的 {format} 文件已可下载。")
        return self._say(pair, format=ready.format, id=ready.model_id[:SHORT])
