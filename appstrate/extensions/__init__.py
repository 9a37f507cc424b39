"""Extensions: how those that are installed are found, set up and kept alive, and the shipped one.

`installed.py` is the platform's side. `audit_file.py` is an extension like any other: it imports
nothing of the platform but `actors`, and is found by its entry point in `pyproject.toml`.
"""
