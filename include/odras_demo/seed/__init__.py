"""A whole ODRAS installation from real texts: the same rows each time, at any size.

`seed` fills a database (read `loading.py` first); `planted_faults` lists the known faults in it; `plant_points` and
`plant_nodes` put ODRAS's own points and stray graph data, with their faults, into Qdrant and Neo4j.
`wording.py` tells where the words come from, `recipe.py` where identifiers and times do.
"""

from __future__ import annotations

from odras_demo.seed.faults import PlantedFault, planted_faults
from odras_demo.seed.loading import SeedReport, seed
from odras_demo.seed.stores import plant_nodes, plant_points

__all__ = ["PlantedFault", "SeedReport", "plant_nodes", "plant_points", "planted_faults", "seed"]
