"""Fills cases.CASES from all tables."""

import cases_files  # noqa: F401
import cases_foreign  # noqa: F401
import cases_fp8  # noqa: F401
import cases_modules  # noqa: F401
