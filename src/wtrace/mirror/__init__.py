"""Mirrors of a race on other machines: rsync over OpenSSH to carry, paramiko to ask about the far side."""
