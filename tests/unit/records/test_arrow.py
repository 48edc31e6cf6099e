"""Arrow and the command line do without pandas."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_converting_lists_imports_no_pandas_and_a_later_import_works() -> None:
    code = (
        "import sys\n"
        "from data_workbench.records.arrow import prepare_process\n"
        "prepare_process()\n"
        "import pyarrow as pa\n"
        "assert pa.array(['a', None]).to_pylist() == ['a', None]\n"
        "assert pa.table({'n': [1]}).to_pylist() == [{'n': 1}]\n"
        "assert 'pandas' not in sys.modules\n"
        "import pandas\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_memory_that_is_freed_goes_back_to_the_system() -> None:
    code = (
        "from data_workbench.records.arrow import prepare_process\n"
        "prepare_process()\n"
        "import pyarrow as pa\n"
        "assert pa.default_memory_pool().backend_name == 'system'\n"
        "prepare_process()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    chosen = {"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}
    asked = code.replace("'system'", "'mimalloc'")
    subprocess.run([sys.executable, "-c", asked], check=True, env={**os.environ, **chosen})
