"""``ipykernel.pylab``."""

# The finder knows where the modules are.
__path__: list[str] = []
