"""Every word that the page says itself, in English and Chinese.

What the services say (step titles, summaries, error sentences) comes from them in the
caller's language. Labels that stand still are translated in the browser by `gr.I18n`,
which gets the same words under their field names.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Protocol


@dataclass(frozen=True)
class Words:
    """One language's words. Some are `str.format` templates."""

    conversation: str
    message: str
    message_hint: str
    send: str
    attach: str
    attach_opening: str
    attach_waiting: str
    attach_lost: str
    show_it: str
    new_conversation: str
    welcome: str
    examples: tuple[str, ...]

    picture: str
    training: str
    model: str
    picture_of: str
    comparison_of: str
    picture_empty: str
    training_empty: str
    model_empty: str

    thinking: str
    card_title: str
    card_in_chat: str
    card_assumptions: str
    card_note: str
    run: str
    cancel: str
    declined: str
    replaced: str
    left: str
    interrupted: str
    no_job: str
    current_model: str
    step_result: str

    queued: str
    running: str
    succeeded: str
    failed: str
    cancelled: str
    unknown_state: str

    progress: str
    progress_of: str
    epoch: str
    step: str
    loss: str
    images_per_second: str
    time_left: str
    accuracy: str
    loss_curve: str
    training_loss: str
    validation_loss: str
    cancel_job: str
    download: str
    download_as: str
    reconnecting: str

    heads: str
    no_heads: str
    head_path: str
    head_type: str
    head_in: str
    head_out: str
    head_classes: str
    head_role: str
    parameters: str
    trainable: str
    flops: str
    input: str
    weights_size: str
    base: str
    model_loss: str
    last_edit: str
    before_after: str
    identifier: str
    open_picture: str
    name: str
    shown_of: str

    second: str
    minute: str
    hour: str

    steps: Mapping[str, str]
    """What each step of a plan is called."""
    fields: Mapping[str, str]
    """What each value of a step is called. A name that is missing stands as it is."""

    error_title: str
    login_title: str
    login_hint: str
    login_label: str
    login_button: str
    login_wrong: str
    login_old_link: str


ENGLISH_STEPS = {
    "show": "Show",
    "compare": "Compare",
    "retarget": "Retarget",
    "freeze": "Freeze",
    "unfreeze": "Unfreeze",
    "set_loss": "Set the loss",
    "undo": "Undo the last edit",
    "finetune": "Fine-tune",
    "evaluate": "Evaluate",
    "predict": "Predict",
    "export": "Export",
    "list_models": "List models",
    "inspect": "Inspect",
    "status": "State of the job",
    "cancel": "Cancel the job",
    "resume": "Resume the job",
    "list_jobs": "List jobs",
}

CHINESE_STEPS = {
    "show": "显示",
    "compare": "比较",
    "retarget": "更换分类头",
    "freeze": "冻结",
    "unfreeze": "解冻",
    "set_loss": "设置损失函数",
    "undo": "撤销上次修改",
    "finetune": "微调",
    "evaluate": "评估",
    "predict": "预测",
    "export": "导出",
    "list_models": "列出模型",
    "inspect": "查看信息",
    "status": "任务状态",
    "cancel": "取消任务",
    "resume": "恢复任务",
    "list_jobs": "列出任务",
}

ENGLISH_FIELDS = {
    "class_names": "class names",
    "lr": "learning rate",
    "batch_size": "batch size",
    "image_size": "image size",
    "max_params": "parameters at most",
    "min_accuracy": "accuracy at least",
}

CHINESE_FIELDS = {
    "model": "模型",
    "focus": "位置",
    "a": "甲",
    "b": "乙",
    "classes": "类别数",
    "class_names": "类别名",
    "layers": "层",
    "loss": "损失函数",
    "data": "数据",
    "epochs": "轮数",
    "lr": "学习率",
    "batch_size": "批大小",
    "optimizer": "优化器",
    "workers": "工作进程",
    "device": "设备",
    "precision": "精度",
    "strategy": "策略",
    "image_size": "图像边长",
    "seed": "随机种子",
    "input": "输入",
    "format": "格式",
    "query": "关键词",
    "task": "任务",
    "max_params": "参数上限",
    "min_accuracy": "准确率下限",
    "limit": "数量",
    "job": "任务",
    "state": "状态",
}

ENGLISH = Words(
    conversation="Conversation",
    message="Message",
    message_hint="Say what you want",
    send="Send",
    attach="File",
    attach_opening="looking into it …",
    attach_waiting="waiting until other uploads are done …",
    attach_lost="The connection broke. Send the file again.",
    show_it="show {model}",
    new_conversation="New conversation",
    welcome="### See a network, graft a new head on it, grow it.\n"
    "Say in plain words what you want, or choose an example.",
    examples=(
        "show resnet50, retarget to 100 classes",
        "inspect mobilenet_v2",
        "show mobilenet_v2, retarget to 10 classes, fine-tune on digits for 2 epochs",
        "list classification models under 10M parameters",
    ),
    picture="Picture",
    training="Training",
    model="Model",
    picture_of="Picture of the model {}",
    comparison_of="Comparison of the models {} and {}",
    picture_empty="The model's graph appears here.",
    training_empty="Nothing trains yet. Ask for it, such as “fine-tune it on digits for 1 epoch”.",
    model_empty="The model's heads and figures appear here.",
    thinking="Understanding",
    card_title="Run this plan?",
    card_in_chat="This needs your consent. Review the plan, then choose **Run** or **Cancel**, or "
    "answer “yes” or “no”.",
    card_assumptions="Assumed, because it was not said",
    card_note="Training runs on this server until it ends or you cancel it, even when this page "
    "is closed.",
    run="Run",
    cancel="Cancel",
    declined="Plan discarded.",
    replaced="Plan not run: your next message took its place.",
    left="This plan was not run.",
    interrupted="This step was interrupted.",
    no_job="There is no training in this conversation yet.",
    current_model="the current model",
    step_result="result of step {step}",
    queued="Queued",
    running="Running",
    succeeded="Succeeded",
    failed="Failed",
    cancelled="Cancelled",
    unknown_state="Starting",
    progress="Training progress",
    progress_of="step {step} of {total}",
    epoch="epoch {epoch} of {total}",
    step="Step",
    loss="Loss",
    images_per_second="{rate} images/s",
    time_left="{time} left",
    accuracy="Accuracy",
    loss_curve="Loss",
    training_loss="training",
    validation_loss="validation",
    cancel_job="Cancel the training",
    download="Download the model",
    download_as="Download the model as {format}",
    reconnecting="The server does not answer; trying again.",
    heads="Heads",
    no_heads="No head was found.",
    head_path="Module",
    head_type="Type",
    head_in="In",
    head_out="Out",
    head_classes="Classes",
    head_role="Role",
    parameters="Parameters",
    trainable="Trainable",
    flops="FLOPs per example",
    input="Input",
    weights_size="Weights",
    base="Base",
    model_loss="Loss",
    last_edit="Last edit",
    before_after="Parameters {before} → {after}",
    identifier="Id",
    open_picture="Open the picture in a window of its own",
    name="Name",
    shown_of="{shown} of {total}",
    second="{n} s",
    minute="{n} min {rest} s",
    hour="{n} h {rest} min",
    steps=ENGLISH_STEPS,
    fields=ENGLISH_FIELDS,
    error_title="That did not work",
    login_title="netgraft",
    login_hint="Run `netgraft token --link` for a new link, or give the token that "
    "`netgraft token` prints.",
    login_label="Token",
    login_button="Sign in",
    login_wrong="That is not the token.",
    login_old_link="This link was used already, or is older than ten minutes.",
)

CHINESE = Words(
    conversation="对话",
    message="消息",
    message_hint="说出您想做的事",
    send="发送",
    attach="文件",
    attach_opening="正在检查……",
    attach_waiting="等待其他上传完成……",
    attach_lost="连接中断。请重新发送文件。",
    show_it="显示 {model}",
    new_conversation="新对话",
    welcome="### 看清网络，嫁接新头，让它生长。\n直接说出您想做的事，或点选一个示例。",
    examples=(
        "显示 resnet50，改成 100 类",
        "查看 mobilenet_v2 的结构信息",
        "显示 mobilenet_v2，改成 10 类，在 digits 上微调 2 轮",
        "列出参数少于 1000 万的分类模型",
    ),
    picture="结构图",
    training="训练",
    model="模型",
    picture_of="模型 {} 的结构图",
    comparison_of="模型 {} 与 {} 的对比",
    picture_empty="模型的结构图会显示在这里。",
    training_empty="还没有训练任务。可以说“把它在 digits 上微调 1 轮”。",
    model_empty="模型的分类头和各项数据会显示在这里。",
    thinking="正在理解",
    card_title="执行这个计划吗？",
    card_in_chat="这需要您的同意。请查看计划后选择 **执行** 或 **取消**，也可以回答“好”或“不”。",
    card_assumptions="未说明、按默认值假定",
    card_note="训练在服务器上进行，直到结束或被取消；关闭本页也不会中断。",
    run="执行",
    cancel="取消",
    declined="计划已取消。",
    replaced="计划未执行：已由您的下一条消息取代。",
    left="该计划未执行。",
    interrupted="该步骤被中断。",
    no_job="本对话中还没有训练任务。",
    current_model="当前模型",
    step_result="第 {step} 步的结果",
    queued="排队中",
    running="训练中",
    succeeded="已完成",
    failed="失败",
    cancelled="已取消",
    unknown_state="正在启动",
    progress="训练进度",
    progress_of="第 {step}/{total} 步",
    epoch="第 {epoch}/{total} 轮",
    step="步",
    loss="损失",
    images_per_second="{rate} 张/秒",
    time_left="剩余 {time}",
    accuracy="准确率",
    loss_curve="损失",
    training_loss="训练",
    validation_loss="验证",
    cancel_job="取消训练",
    download="下载模型",
    download_as="下载 {format} 格式的模型",
    reconnecting="服务器没有响应，正在重试。",
    heads="分类头",
    no_heads="没有找到分类头。",
    head_path="模块",
    head_type="类型",
    head_in="输入",
    head_out="输出",
    head_classes="类别数",
    head_role="作用",
    parameters="参数量",
    trainable="可训练参数",
    flops="单个样本的 FLOPs",
    input="输入",
    weights_size="权重大小",
    base="基础模型",
    model_loss="损失函数",
    last_edit="最近的修改",
    before_after="参数量 {before} → {after}",
    identifier="编号",
    open_picture="在新窗口中打开结构图",
    name="名称",
    shown_of="共 {total} 个，显示 {shown} 个",
    second="{n} 秒",
    minute="{n} 分 {rest} 秒",
    hour="{n} 小时 {rest} 分",
    steps=CHINESE_STEPS,
    fields=CHINESE_FIELDS,
    error_title="未能完成",
    login_title="netgraft",
    login_hint="请运行 `netgraft token --link` 获取新链接，或输入 `netgraft token` 输出的令牌。",
    login_label="令牌",
    login_button="登录",
    login_wrong="令牌不正确。",
    login_old_link="该链接已被使用，或已超过十分钟。",
)

LANGUAGES = {"en": ENGLISH, "zh": CHINESE}


def words(language: str) -> Words:
    """The words of a language; English where there are none."""
    return LANGUAGES.get(language, ENGLISH)


class HasHeaders(Protocol):
    """What Starlette's and Gradio's requests have in common."""

    @property
    def headers(self) -> Mapping[str, str]: ...


def language_of(request: HasHeaders) -> str:
    """The first language of Accept-Language that there are words for; "en" if none."""
    wishes = [_wish(part) for part in request.headers.get("accept-language", "").split(",")]
    for _, language in sorted(wishes, key=lambda wish: -wish[0]):
        if language in LANGUAGES:
            return language
    return "en"


def _wish(part: str) -> tuple[float, str]:
    tag, _, weight = part.strip().partition(";q=")
    try:
        quality = float(weight) if weight else 1.0
    except ValueError:
        quality = 0.0
    return quality, tag.split("-")[0].lower()


def for_browser() -> dict[str, dict[str, str]]:
    """The plain words by the language tags that browsers send, for `gr.I18n`."""

    def plain(language: Words) -> dict[str, str]:
        return {key: value for key, value in asdict(language).items() if isinstance(value, str)}

    chinese = plain(CHINESE)
    tags = ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-SG")
    return {"en": plain(ENGLISH), **dict.fromkeys(tags, chinese)}
