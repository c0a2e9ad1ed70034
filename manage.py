#!/usr/bin/env python
"""Django's command line, with the project's settings."""

import os
import sys

OWN_PACKAGES = ("portal", "accounts", "marketplace")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    if sys.version_info < (3, 11):
        sys.exit("Tokenworks needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")
    try:
        from django.core.management import execute_from_command_line

        if sys.argv[1:2] == ["up"]:
            prepare_start(sys.argv[2:])
        execute_from_command_line(sys.argv)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in OWN_PACKAGES:
            raise
        sys.exit(
            f"The Python module {missing.name} is not installed in {sys.prefix}. "
            "Run `make up`, which installs what is missing."
        )


def prepare_start(arguments: list[str]) -> None:
    """The one-command start settles address and ports before the settings are read."""
    from portal.management.embedded import CannotStart, prepare_environment

    try:
        prepare_environment(arguments)
    except CannotStart as reason:
        sys.exit(str(reason))


if __name__ == "__main__":
    main()
