"""Every sentence that the planner says."""

from netgraft.language import mark, plural, render

QUESTIONS: dict[str, str] = {
    "word": mark("I did not understand “{word}”. Could you say that part in other words?"),
    "empty": mark("What shall I do?"),
    "long": mark("That is too long for one request. Could you say it in a few sentences?"),
    "model": mark("Which model do you mean by “{word}”?"),
    "unknown_model": mark("There is no model called “{word}”. Which one do you mean?"),
    "which_model": mark("Which model?"),
    "other_model": mark("Compare it with which model?"),
    "classes": mark("How many classes shall the new head have?"),
    "data": mark("Which data set or folder shall be used?"),
    "format": mark("In which format?"),
    "loss": mark("Which loss?"),
    "layers": mark("Which layers?"),
    "input": mark("Which picture? Give its path."),
    "verb": mark("What shall I do with {word}?"),
    "two_values": mark("You gave two values for {slot}: {first} and {second}. Which one?"),
    "contradiction": mark(
        "That contradicts itself: everything would be frozen and yet train. What shall train?"
    ),
    "counts": plural(
        "You said {count} class but named {named}. Which is right?",
        "You said {count} classes but named {named}. Which is right?",
    ),
    "correct_what": mark("What shall I change in the plan?"),
    "whole": mark("{slot} must be a whole number, not {value}. Which number?"),
}

REFUSALS: dict[str, str] = {
    "destroy": mark(
        "I do not delete or overwrite anything. Models are immutable; “undo” steps back."
    ),
    "outside": mark(
        "That is outside what netgraft does: showing, editing, training and exporting "
        "neural networks."
    ),
}

ANSWERS: dict[str, str] = {
    "what_can": mark(
        "I show neural networks, give them new heads, freeze layers, fine-tune, evaluate, compare "
        "and export them. Try “show resnet50, retarget to 10 classes, fine-tune on digits”."
    ),
    "howto": mark(
        "Just say it, for example “retarget resnet50 to 10 classes”; I show the plan before "
        "anything costly runs."
    ),
    "hello": mark("Hello! Tell me what to do with a network, such as “show resnet50”."),
    "thanks": mark("You are welcome."),
    "nevermind": mark("All right, nothing was done."),
    "yes": mark("A plan is run with its Run button, or with --yes on the command line."),
    "ask_formats": mark(
        "Models are exported as onnx, pt2, safetensors, state_dict, torchscript or python; "
        "graphs as svg or png."
    ),
    "ask_losses": mark(
        "Losses: cross_entropy, label_smoothing, focal, bce, mse, l1, huber and dice."
    ),
    "ask_optimizers": mark("Optimizers: sgd, adam and adamw."),
    "ask_data": mark("Use “digits”, or a folder with one folder of pictures per class."),
    "ask_language": mark("I speak English and Chinese."),
    "ask_consent": mark(
        "netgraft is free software. Training, resuming and cancelling cost time or lose work, so "
        "they need your consent; everything else runs at once."
    ),
    "ask_concept": mark(
        "Retargeting gives a network a new head (its last layer) for your classes; freezing keeps "
        "layers from training; fine-tuning trains the network on your data. The README tells more."
    ),
}


FILE_NAMED = mark("the download is named by netgraft, not “{name}”")
DEFAULTS = mark("training settings that were not said are chosen by the tuning service")


def said(template: str, language: str, **values: object) -> str:
    """A sentence in "en" or "zh", filled in."""
    return render(template, values, language)


def to_foreigners(language: str) -> str:
    """The answer to another language: in English, and in the language spoken so far."""
    spoken = [render(ANSWERS["ask_language"], {}, each) for each in ("en", language)]
    return " ".join(dict.fromkeys(spoken))
