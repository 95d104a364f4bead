"""What makes the network that `filter` ships with: pictures drawn on purpose, and the fit to them.

Nothing here is installed; each program is run from the top of the repository, as `python -m making.NAME`.
"""
