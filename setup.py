"""The package `small_plates`: the app as it lies in the repository, in a folder of its own.

Others may have installed packages called `app`, `core` or `pages`. So these are not installed under
their names: `small-plates` (`core.cli.start.console`) puts their folder on the path of its own
process. `pretrained/` stays out: it has 130 MB, and belongs to a clone of the repository.
"""

from setuptools import find_namespace_packages, setup

FOUND = find_namespace_packages(include=["core*", "pages*"], exclude=["*__pycache__*"])

setup(
    packages=["small_plates", *(f"small_plates.{name}" for name in FOUND)],
    package_dir={"small_plates": "."},
    package_data={
        "small_plates": [".streamlit/config.toml", "deploy/nginx.conf", "licences/*"],
        **{f"small_plates.{name}": ["*"] for name in FOUND},
    },
)
