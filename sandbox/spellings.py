"""How another office writes what an initiative is called, who leads it and how much it means to restore.

Belongs here: differences of wording between registries, from a generator of their own so that the rest of the world stays.
Does not: wrong values (initiatives.py), which the protocol catches.
"""

from __future__ import annotations

import re

import numpy as np

_SHORT = {
    "Recuperación": "Recup.",
    "Restauración": "Rest.",
    "Reforestación": "Reforest.",
    "Mejoramiento": "Mej.",
    "ecosistema": "ecosist.",
    "distrito de": "dist.",
    "Quebrada": "Qda.",
    "Santa": "Sta.",
}
_LEADS = [
    ("Gobierno Regional de ", "GORE "),
    ("Municipalidad Distrital de ", "Mun. Dist. "),
    ("Municipalidad Provincial de ", "M.P. de "),
    ("Comunidad Campesina ", "C.C. "),
    ("Comunidad Nativa ", "CC.NN. "),
    ("Universidad Nacional de ", "Univ. Nac. "),
]
_OTHER_WORDS = {"Recuperación": "Restauración", "Restauración": "Recuperación", "Reforestación": "Forestación"}
_PARTNERS = ["Fondo de las Américas", "PROFONANPE", "Agencia de Cooperación", "Asociación Andina de Conservación"]


class Office:
    """How one registry writes one initiative. `registry` numbers the office, `number` the initiative."""

    def __init__(self, seed: int, registry: int, number: int) -> None:
        self._random = np.random.default_rng([seed, 12, registry, number])

    def _happens(self, share: float) -> bool:
        return bool(self._random.random() < share)

    def name(self, name: str) -> str:
        """The name in other words: shortened, without its district, in another order, with a slip of the keyboard."""
        if self._happens(0.25):
            name = re.sub("|".join(map(re.escape, _SHORT)), lambda m: _SHORT[m[0]], name)
        if self._happens(0.10):
            name = name.split(", distrito")[0]
        if self._happens(0.08):
            name = f"Proyecto {name}" if self._happens(0.5) else f"{name} - componente restauración"
        if self._happens(0.06):
            first, _, rest = name.partition(" ")
            name = f"{_OTHER_WORDS.get(first, first)} {rest}"
        if self._happens(0.05) and " en " in name:
            what, _, where = name.partition(" en ")
            name = f"{where.split(',')[0]}: {what}"
        return self._slip(name) if self._happens(0.12) else name

    def _slip(self, text: str) -> str:
        """One letter doubled, dropped or exchanged with its neighbour."""
        at = int(self._random.integers(1, len(text) - 2))
        kind = int(self._random.integers(3))
        if kind == 0:
            return text[:at] + text[at] + text[at:]
        if kind == 1:
            return text[:at] + text[at + 1 :]
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]

    def lead(self, lead: str) -> str:
        """Who leads it, abbreviated; one in twenty names the partner that runs the work instead."""
        if self._happens(0.05):
            return str(self._random.choice(_PARTNERS))
        if self._happens(0.3):
            for whole, short in _LEADS:
                lead = lead.replace(whole, short)
        return self._slip(lead) if len(lead) > 8 and self._happens(0.04) else lead

    def target_ha(self, hectares: float) -> float:
        """Hectares meant to be restored: one in four was revised after the first registration."""
        return round(hectares * float(self._random.uniform(0.8, 1.15)), 2) if self._happens(0.25) else hectares
