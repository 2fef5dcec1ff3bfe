"""Executes one notebook with the tslab kernel and writes what became of it.

usage: execute.py NOTEBOOK EXECUTED PAGE

Runs in the notebook's folder, so that its imports resolve. EXECUTED is written whether or not a cell fails; PAGE, the
same as HTML that needs no network, only when none does. Standard output is JSON lines:

    {"cell": 3, "of": 20}                     before a code cell runs
    {"cell": 4, "of": 20, "failed": "..."}    the cell failed: what it wrote to standard error
    {"peak": 123456789}                       after every cell: the most memory the kernel has held, in bytes

When standard input closes, whoever started this is gone or wants it to stop: the kernel is ended, then this.
"""

import json
import os
import signal
import sys
import threading

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbconvert import HTMLExporter

LONGEST_LINE = 2000  # of what a cell wrote to standard error: Node shows the line that threw, which may be a whole packed library
STRAY = ("UnhandledPromiseRejection:", "UncaughtException:")


def say(**line):
    os.set_blocking(sys.stdout.fileno(), True)  # the kernel has the same pipe, and Node sets it not to block: a long line would break off
    print(json.dumps(line), flush=True)


def kernel_pid(client):
    return getattr(client.km, "provisioner", None) and client.km.provisioner.pid or client.km.kernel.pid


def stop_with_starter(client):
    """Blocks until standard input closes, then ends the kernel and this process."""
    while os.read(0, 4096):
        pass
    if client.km is not None and client.km.has_kernel:
        os.kill(kernel_pid(client), signal.SIGKILL)
    os._exit(130)


def peak_bytes(pid):
    """The kernel's high-water mark of resident memory; 0 where the system does not tell (Linux does)."""
    if not os.path.exists(f"/proc/{pid}/status"):
        return 0
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)


def standard_error(cell):
    text = "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stderr")
    return "\n".join(line[:LONGEST_LINE] for line in text.splitlines())


def stray(cell):
    """True when a promise that nobody awaited was rejected: the kernel reports that and calls the cell ok."""
    return any(line.startswith(STRAY) for line in standard_error(cell).splitlines())


def run_cells(client, notebook):
    """Runs the code cells in order. True when every one of them ended well."""
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source.strip()]
    peak = 0
    for number, (index, cell) in enumerate(cells, 1):
        say(cell=number, of=len(cells))
        try:
            client.execute_cell(cell, index, execution_count=number)
        except (CellExecutionError, DeadKernelError) as error:
            say(cell=number, of=len(cells), failed=standard_error(cell) or str(error))
            return False
        if stray(cell):
            say(cell=number, of=len(cells), failed=standard_error(cell))
            return False
        peak = max(peak, peak_bytes(kernel_pid(client)))
    say(peak=peak)
    return True


def page(notebook, name):
    exporter = HTMLExporter(template_name="lab", require_js_url="", jquery_url="", mathjax_url="")
    return exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})[0]


def main(source, executed, html):
    notebook = nbformat.read(source, as_version=4)
    folder = os.path.dirname(os.path.abspath(source))
    client = NotebookClient(
        notebook,
        kernel_name="tslab",
        resources={"metadata": {"path": folder}},
        timeout=None,
        startup_timeout=120,
        iopub_timeout=60,
    )
    threading.Thread(target=stop_with_starter, args=(client,), daemon=True).start()
    with client.setup_kernel():
        information = client.wait_for_reply(client.kc.kernel_info())
        notebook.metadata["language_info"] = information["content"]["language_info"]
        well = run_cells(client, notebook)
    nbformat.write(notebook, executed)
    if well:
        with open(html, "w", encoding="utf-8") as file:
            file.write(page(notebook, os.path.splitext(os.path.basename(source))[0]))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
