"""The rows behind an unusual value: which they are, how to find all of them, and the first few, masked.

`choosing.py` decides from two profiles, or from what checks said, which rows make a metric what it is; `reading.py`
asks the store for them. Nothing is looked for until something is unusual.
"""

from data_workbench.quality.drivers.reading import Drivers

__all__ = ["Drivers"]
