"""The daemon about itself and its machine: info, version, disk usage.

``host`` reads what the machine says, ``shortcomings`` warns of what its control groups cannot do, ``service`` puts the
answers together from these, the settings and the counts that the other nouns give.
"""

from wherry.engine.system.host import engine_id
from wherry.engine.system.service import System
from wherry.engine.system.sources import (
    ContainerCounts,
    ContainerSource,
    EventSource,
    ImageSource,
    Settings,
    VolumeSource,
)

__all__ = [
    "ContainerCounts",
    "ContainerSource",
    "EventSource",
    "ImageSource",
    "Settings",
    "System",
    "VolumeSource",
    "engine_id",
]
