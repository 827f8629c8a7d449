#!/usr/bin/env python3
"""The command ``xvkd`` of the installed package, from a checkout: enrols, verifies and identifies speakers."""

from xvkd.deployment.command import run

if __name__ == "__main__":
    run()
