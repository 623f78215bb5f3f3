"""Checks ahead of a deploy: rules that say whether a difference between two versions may go out."""
