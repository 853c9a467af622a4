"""Where Peru lies.

Belongs here: its box. Does not: limits of places, which sources give.
"""

PERU_BOX = (-82.0, -19.0, -68.0, 1.0)  # west, south, east, north, in degrees
