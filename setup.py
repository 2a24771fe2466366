"""Packaging of loghook: every fact that pip needs, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """Return the version written in loghook/_version.py, the one place that holds it."""
    text = (HERE / "loghook" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("loghook/_version.py has no line that sets __version__ to a plain string")
    return found.group(1)


SERVER = ["starlette>=0.40", "uvicorn>=0.30", "plotly>=5.24"]
TENSORBOARD = ["tensorboard>=2.14"]
DEMO = [*SERVER, "scikit-learn>=1.5"]
TEST = [
    *SERVER,
    *TENSORBOARD,
    "hypothesis>=6.100",
    "ipykernel>=6.29",
    "nbclient>=0.10",
    "numpy>=1.26",
    "playwright>=1.45",
    "pytest>=8.2",
    "pytest-randomly>=3.15",
    "pytest-rerunfailures>=16.7",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "tensorboardX>=2.6",
    "tqdm>=4.66",
]
FAULTS = ["gunicorn>=23"]
FUZZ = [
    # It is built for these alone.
    "atheris>=3; python_version>='3.11' and python_version<'3.14' and sys_platform=='linux'"
    " and platform_machine=='x86_64'",
    "openapi-spec-validator>=0.7",
    "schemathesis>=4.10",
]
LINT = ["mypy>=1.13", "ruff>=0.8", "types-requests>=2.31"]

setup(
    name="loghook",
    version=version(),
    description="Sends Python's standard logging records, and the metrics in them, to an experiment tracker.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The loghook authors",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=find_packages(include=["loghook", "loghook.*"]),
    package_data={"loghook": ["py.typed"], "loghook.server": ["ui/*", "ui/**/*"]},
    install_requires=[
        "click>=8.2",
        "orjson>=3.9.15",
        "python-json-logger>=3.1",
        "requests>=2.28",
    ],
    extras_require={
        "server": SERVER,
        "demo": DEMO,
        "faults": FAULTS,
        "fuzz": FUZZ,
        "lint": LINT,
        "tensorboard": TENSORBOARD,
        "test": TEST,
    },
    entry_points={"console_scripts": ["loghook = loghook.cli:main"]},
    zip_safe=False,
    keywords=["logging", "experiment tracking", "metrics", "machine learning"],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: System :: Logging",
        "Typing :: Typed",
    ],
)
