"""The report: one self-contained page of the published release that the working group can project."""
