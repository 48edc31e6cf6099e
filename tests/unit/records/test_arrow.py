"""Arrow and the command line do without pandas."""

from __future__ import annotations

import subprocess
import sys


def test_converting_lists_imports_no_pandas_and_a_later_import_works() -> None:
    code = (
        "import sys\n"
        "from data_workbench.records.arrow import keep_pandas_out\n"
        "keep_pandas_out()\n"
        "import pyarrow as pa\n"
        "assert pa.array(['a', None]).to_pylist() == ['a', None]\n"
        "assert pa.table({'n': [1]}).to_pylist() == [{'n': 1}]\n"
        "assert 'pandas' not in sys.modules\n"
        "import pandas\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
