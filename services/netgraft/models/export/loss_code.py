"""The losses as plain functions, for exported code.

Each takes logits_NK… and indices_N… and leaves out places of the index IGNORED. They equal
`losses.modules` for class indices without class weights, which is all that a recipe can say.
"""

from netgraft.models.losses.catalogue import GAMMA, IGNORED, SMOOTHING

ONE_HOT = """
    truth = F.one_hot(target.clamp(0, logits.shape[1] - 1), logits.shape[1])
    truth = truth.movedim(-1, 1).to(logits.dtype)
"""

DISTANCE = (
    f"    known = target != {IGNORED}"
    + ONE_HOT
    + """    each = F.{distance}(logits, truth, reduction="none").sum(dim=1)
    return (each * known).sum() / (known.sum() * logits.shape[1]).clamp(min=1)
"""
)

DICE = (
    f"    known = (target != {IGNORED}).unsqueeze(1).to(logits.dtype)"
    + ONE_HOT
    + """    p, truth = logits.softmax(dim=1) * known, truth * known
    over = [dim for dim in range(logits.ndim) if dim != 1]
    overlap, total = (p * truth).sum(over), (p + truth).sum(over)
    present = total > 0
    each = 1 - 2 * overlap / total.clamp(min=torch.finfo(logits.dtype).eps)
    return (each * present).sum() / present.sum().clamp(min=1)
"""
)

BODIES = {
    "cross_entropy": f"    return F.cross_entropy(logits, target, ignore_index={IGNORED})\n",
    "label_smoothing": f"""    return F.cross_entropy(
        logits, target, ignore_index={IGNORED}, label_smoothing={SMOOTHING}
    )
""",
    "focal": f"""    known = target != {IGNORED}
    log_p = -F.cross_entropy(logits, target, ignore_index={IGNORED}, reduction="none")
    return (-((1 - log_p.exp()) ** {GAMMA}) * log_p).sum() / known.sum().clamp(min=1)
""",
    "bce": DISTANCE.format(distance="binary_cross_entropy_with_logits"),
    "mse": DISTANCE.format(distance="mse_loss"),
    "l1": DISTANCE.format(distance="l1_loss"),
    "huber": DISTANCE.format(distance="huber_loss"),
    "dice": DICE,
}


def function(name: str) -> str:
    """The function `loss(logits, target)` of that name. Raises KeyError for an unknown one."""
    says = f'    """{name}: class indices; {IGNORED} counts for nothing."""\n'
    return f"def loss(logits, target):\n{says}{BODIES[name]}"
