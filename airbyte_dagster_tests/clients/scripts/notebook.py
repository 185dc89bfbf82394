"""Runs the course's notebook as Jupyter does, with a kernel of this environment; reports what each cell printed."""

from __future__ import annotations

import os

import nbformat
from nbclient import NotebookClient
from speaking import report

notebook = nbformat.read(os.environ["NOTEBOOK"], as_version=4)
nbformat.validate(notebook)
if until := os.environ["UNTIL"]:
    (end,) = [number for number, cell in enumerate(notebook.cells) if cell.source.startswith(until)]
    del notebook.cells[end:]
NotebookClient(notebook, kernel_name="python3").execute()
printed = [
    "".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells if cell.cell_type == "code"
]
report(printed="".join(printed))
