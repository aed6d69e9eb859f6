"""Files and folders that systems and programs leave among pictures."""

FOLDERS = frozenset(
    ["__macosx", "__pycache__", "@eadir", "$recycle.bin", "lost+found", "system volume information"]
)
FILES = frozenset(["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"])


def is_junk_folder(name: str) -> bool:
    """True for hidden folders and those of systems, by their last name."""
    return name[0] == "." or name.lower() in FOLDERS


def is_junk_file(name: str) -> bool:
    """True for hidden files and those of systems, by their last name."""
    return name[0] == "." or name.lower() in FILES
