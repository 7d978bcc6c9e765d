"""The user's files: texts in folders, every file name only once."""

from __future__ import annotations

from typing import TypedDict


class File(TypedDict):
    """One file."""

    file: str
    folder: str
    text: str


class Files:
    """A small drive."""

    def __init__(self) -> None:
        self.entries: list[File] = []

    def list_files(self, folder: str) -> list[str]:
        """List the names of the files in a folder.

        Args:
            folder: The name of the folder.
        """
        return [entry["file"] for entry in self.entries if entry["folder"] == folder]

    def read_file(self, file: str) -> str:
        """Read a file.

        Args:
            file: The name of the file.
        """
        return self._entry(file)["text"]

    def write_file(self, file: str, folder: str, text: str) -> str:
        """Write a new file.

        Args:
            file: The name of the new file.
            folder: The folder to put it into.
            text: What it says.
        """
        self._check_new(file)
        self.entries.append({"file": file, "folder": folder, "text": text})
        return "written"

    def move_file(self, file: str, folder: str) -> str:
        """Move a file into another folder.

        Args:
            file: The name of the file.
            folder: The folder to move it into.
        """
        self._entry(file)["folder"] = folder
        return "moved"

    def rename_file(self, file: str, new_name: str) -> str:
        """Give a file another name.

        Args:
            file: The name of the file.
            new_name: What to call it.
        """
        self._check_new(new_name)
        self._entry(file)["file"] = new_name
        return "renamed"

    def delete_file(self, file: str) -> str:
        """Delete a file.

        Args:
            file: The name of the file.
        """
        self.entries.remove(self._entry(file))
        return "deleted"

    def _entry(self, name: str) -> File:
        for entry in self.entries:
            if entry["file"] == name:
                return entry
        raise LookupError(f"there is no file {name}")

    def _check_new(self, name: str) -> None:
        if any(entry["file"] == name for entry in self.entries):
            raise ValueError(f"there is a file {name} already")
