"""Sources: a register .yml per institution says what to read; register.py and extraction.py read it; raw.py makes assets."""
