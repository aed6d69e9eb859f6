"""Names of torch's own values, such as dtypes, without the library before them. Needs no torch."""


def short(value: object) -> str:
    """The name of a value of torch's: "float32" of torch.float32."""
    return str(value).removeprefix("torch.")
