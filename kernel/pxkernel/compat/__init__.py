"""What libraries import from ``ipykernel.*`` inside this kernel, served by ours.

Each module here is loaded when it is imported under its old name; ``finder`` maps the names.
"""
