"""Every sentence that the planner says, in English and Chinese."""

QUESTIONS: dict[str, tuple[str, str]] = {
    "word": (
        "I did not understand “{word}”. Could you say that part in other words?",
        "我没有理解“{word}”。可以换一种说法吗？",
    ),
    "empty": ("What shall I do?", "想让我做什么？"),
    "long": (
        "That is too long for one request. Could you say it in a few sentences?",
        "内容太长了。可以用几句话说明吗？",
    ),
    "model": ("Which model do you mean by “{word}”?", "“{word}”指的是哪个模型？"),
    "unknown_model": (
        "There is no model called “{word}”. Which one do you mean?",
        "没有名为“{word}”的模型。您指的是哪一个？",
    ),
    "which_model": ("Which model?", "哪个模型？"),
    "other_model": ("Compare it with which model?", "要和哪个模型比较？"),
    "classes": ("How many classes shall the new head have?", "新的分类头要有多少类？"),
    "data": ("Which data set or folder shall be used?", "使用哪个数据集或文件夹？"),
    "format": ("In which format?", "导出成什么格式？"),
    "loss": ("Which loss?", "使用哪个损失函数？"),
    "layers": ("Which layers?", "哪些层？"),
    "input": ("Which picture? Give its path.", "哪张图片？请给出路径。"),
    "verb": ("What shall I do with {word}?", "要对 {word} 做什么？"),
    "two_values": (
        "You gave two values for {slot}: {first} and {second}. Which one?",
        "{slot} 有两个值：{first} 和 {second}。用哪一个？",
    ),
    "contradiction": (
        "That contradicts itself: everything would be frozen and yet train. What shall train?",
        "前后矛盾：既要全部冻结又要训练。到底训练哪些部分？",
    ),
    "counts": (
        "You said {count} classes but named {named}. Which is right?",
        "说了 {count} 类，却给出了 {named} 个类名。哪个对？",
    ),
    "correct_what": ("What shall I change in the plan?", "计划中要改哪里？"),
    "whole": (
        "{slot} must be a whole number, not {value}. Which number?",
        "{slot} 必须是整数，不能是 {value}。请给出数值。",
    ),
}

REFUSALS: dict[str, tuple[str, str]] = {
    "destroy": (
        "I do not delete or overwrite anything. Models are immutable; “undo” steps back.",
        "我不会删除或覆盖任何内容。模型不可变；可以说“撤销”回到上一步。",
    ),
    "outside": (
        "That is outside what netgraft does: showing, editing, training and exporting "
        "neural networks.",
        "这超出了 netgraft 的范围：展示、修改、训练和导出神经网络。",
    ),
}

ANSWERS: dict[str, tuple[str, str]] = {
    "what_can": (
        "I show neural networks, give them new heads, freeze layers, fine-tune, evaluate, compare "
        "and export them. Try “show resnet50, retarget to 10 classes, fine-tune on digits”.",
        "我可以展示神经网络、更换分类头、冻结层、微调、评估、比较和导出。"
        "试试“展示resnet50，改成10类，在digits上微调”。",
    ),
    "howto": (
        "Just say it, for example “retarget resnet50 to 10 classes”; I show the plan before "
        "anything costly runs.",
        "直接说即可，例如“把resnet50改成10类”；耗费资源的步骤执行前我会先给出计划。",
    ),
    "hello": (
        "Hello! Tell me what to do with a network, such as “show resnet50”.",
        "你好！告诉我要对网络做什么，例如“展示resnet50”。",
    ),
    "thanks": ("You are welcome.", "不客气。"),
    "nevermind": ("All right, nothing was done.", "好的，什么都没有做。"),
    "yes": (
        "A plan is run with its Run button, or with --yes on the command line.",
        "请用计划卡片上的“运行”按钮执行，或在命令行中加 --yes。",
    ),
    "ask_formats": (
        "Models are exported as onnx, pt2, safetensors, state_dict, torchscript or python; "
        "graphs as svg or png.",
        "模型可导出为 onnx、pt2、safetensors、state_dict、torchscript 或 python；"
        "图可导出为 svg 或 png。",
    ),
    "ask_losses": (
        "Losses: cross_entropy, label_smoothing, focal, bce, mse, l1, huber and dice.",
        "损失函数：cross_entropy、label_smoothing、focal、bce、mse、l1、huber 和 dice。",
    ),
    "ask_optimizers": ("Optimizers: sgd, adam and adamw.", "优化器：sgd、adam 和 adamw。"),
    "ask_data": (
        "Use “digits”, or a folder with one folder of pictures per class.",
        "可以用 digits，或每个类别一个子文件夹的图片文件夹。",
    ),
    "ask_language": ("I speak English and Chinese.", "我懂中文和英文。"),
    "foreign": ("I speak English and Chinese.", "I speak English and Chinese. 我懂中文和英文。"),
    "ask_consent": (
        "netgraft is free software. Training, resuming and cancelling cost time or lose work, so "
        "they need your consent; everything else runs at once.",
        "netgraft 是自由软件。训练、恢复和取消会耗费资源，因此需要您的同意；其他操作立即执行。",
    ),
    "ask_concept": (
        "Retargeting gives a network a new head (its last layer) for your classes; freezing keeps "
        "layers from training; fine-tuning trains the network on your data. The README tells more.",
        "改头是为您的类别换一个新的分类头（最后一层）；冻结使某些层不参与训练；"
        "微调是在您的数据上训练网络。详见 README。",
    ),
}


def said(pair: tuple[str, str], language: str, **values: object) -> str:
    """A sentence in "en" or "zh", filled in."""
    return pair[language == "zh"].format(**values)


FILE_NAMED = (
    "the download is named by netgraft, not “{name}”",
    "下载的文件由 netgraft 命名，而不是“{name}”",
)
DEFAULTS = (
    "training settings that were not said are chosen by the tuning service",
    "未说明的训练设置由训练服务选择",
)
