"""ImageNet's classes and all the words for them, as WordNet has them.

The number of a head's classes decides which list of ImageNet it follows: timm's own rule
(`timm.data.infer_imagenet_subset`); no two lists have the same length.
"""

from functools import cache

Synonyms = tuple[str, ...]


@cache
def words(classes: int) -> tuple[Synonyms, ...]:
    """For each class its words, such as ("tabby", "tabby cat"); () when no list is so long."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": classes})
    if subset is None:
        return ()
    return tuple(spoken(line) for line in ImageNetInfo(subset).label_descriptions())


def spoken(line: str) -> Synonyms:
    """The words that a line lists, separated by commas."""
    return tuple(word.strip() for word in line.split(","))
